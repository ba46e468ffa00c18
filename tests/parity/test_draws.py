"""What scores are bent to before a token is drawn, against transformers' warpers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from hone.predict.generation.draws import drawn, warped
from hone.tasks.decoding import DecodingSettings

THEIRS = {
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.6},
        {"top_k": 7},
        {"top_k": 500},
        {"top_p": 0.8},
        {"top_p": 0.01},
        {"min_p": 0.2},
        {"temperature": 1.7, "top_k": 20, "top_p": 0.7, "min_p": 0.1},
    ],
    ids=str,
)
def test_probabilities_are_those_of_transformers(options: dict[str, Any]) -> None:
    scores = torch.randn((5, 60), generator=torch.Generator().manual_seed(0)) * 3
    expected = scores
    for name, warper in THEIRS.items():
        if name in options:
            expected = warper(options[name])(torch.zeros((5, 1), dtype=torch.long), expected)
    kept, tokens = warped(scores, DecodingSettings(do_sample=True, **options))
    chances = kept.softmax(dim=-1)
    if tokens is not None:
        chances = torch.zeros((5, 60)).scatter(1, tokens, chances)
    torch.testing.assert_close(chances, expected.softmax(dim=-1))


@pytest.mark.parametrize("options", [{}, {"top_p": 0.5}, {"min_p": 0.9}], ids=str)
@pytest.mark.parametrize("number", [0.0, 1.0 - 2**-53])
def test_the_least_and_the_greatest_number_draw_tokens_that_can_be_drawn(
    options: dict[str, Any], number: float
) -> None:
    scores = torch.full((1, 10), float("-inf"))
    scores[0, 4:6] = torch.tensor([1.0, 1.2])
    settings = DecodingSettings(do_sample=True, **options)
    token = drawn(scores, torch.tensor([number], dtype=torch.float64), settings)
    kept, tokens = warped(scores, settings)
    likely = {4, 5} if tokens is None else set(tokens[kept > float("-inf")].tolist())
    assert int(token) in likely

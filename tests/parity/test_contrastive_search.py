"""Contrastive search against its formula (Su et al. 2022), every step computed anew without a cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from writing_models import ALL_EOS, FAMILIES, model_of, prompts_of

from hone.models.writers.make import writer_of
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> Any:
    return model_of(request.param)


@torch.no_grad()
def read(model: Any, prompt: list[int], ids: list[int]) -> tuple[Tensor, Tensor]:
    """Logits of the next token [vocabulary], and the last layer's states of what was read [tokens, width]."""
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        given = {"input_ids": torch.tensor([prompt]), "decoder_input_ids": torch.tensor([[start, *ids]])}
        found = model(**given, output_hidden_states=True)
        return found.logits[0, -1], found.decoder_hidden_states[-1][0]
    found = model(input_ids=torch.tensor([prompt + ids]), output_hidden_states=True)
    return found.logits[0, -1], found.hidden_states[-1][0]


def by_formula(model: Any, prompt: list[int], *, alpha: float, k: int, limit: int) -> list[int]:
    ids: list[int] = []
    while len(ids) < limit:
        logits, before = read(model, prompt, ids)
        scores = {}
        for chance, token in zip(*(part.tolist() for part in logits.softmax(dim=-1).topk(k)), strict=True):
            own = read(model, prompt, [*ids, token])[1][-1]
            alike = float(functional.cosine_similarity(own[None], before, dim=-1).max())
            scores[token] = (1 - alpha) * chance - alpha * alike
        best = max(scores, key=lambda token: scores[token])
        if best in ALL_EOS:
            break
        ids.append(best)
    return ids


@pytest.mark.parametrize(("alpha", "k"), [(0.6, 4), (0.2, 2)])
def test_each_token_is_the_one_with_the_best_score(model: Any, alpha: float, k: int) -> None:
    prompts = prompts_of(4, seed=4)
    settings = DecodingSettings(max_new_tokens=8, penalty_alpha=alpha, top_k=k)
    found = generate(writer_of(model), prompts, settings, vocabulary=Vocabulary(ALL_EOS))
    expected = [by_formula(model, prompt, alpha=alpha, k=k, limit=8) for prompt in prompts]
    assert [list(texts[0].ids) for texts in found] == expected


def test_without_a_penalty_it_is_greedy_search(model: Any) -> None:
    prompts = prompts_of(4, seed=5)
    greedy, contrastive = (
        generate(
            writer_of(model), prompts, DecodingSettings(max_new_tokens=8, **options), vocabulary=Vocabulary(ALL_EOS)
        )
        for options in ({}, {"penalty_alpha": 0.0, "top_k": 3})
    )
    assert [texts[0].ids for texts in greedy] == [texts[0].ids for texts in contrastive]

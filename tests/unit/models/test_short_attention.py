"""Attention without derivatives over few keys goes its own way, and comes to the same as torch's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hone.models import attention
from hone.models.attention import FEW, HIDDEN, SHORT, attended, softened

HEADS, SIZE = 4, 8


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["little", "much"])
def _amount(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there are as few scores as go to torch's softmax whatever their shape."""
    if request.param == "much":
        monkeypatch.setattr(attention, "LITTLE", 0)


@pytest.mark.parametrize("tokens", [1, FEW - 1, FEW, SHORT, SHORT + 1])
@pytest.mark.parametrize("queries", [1, None], ids=["first", "all"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.usefixtures("_amount")
def test_the_context_is_that_of_torch(tokens: int, queries: int | None, padded: bool) -> None:
    rows = 3
    q = draw(rows, HEADS, queries or tokens, SIZE, seed=1)
    k, v = (draw(rows, tokens, HEADS, SIZE, seed=seed).transpose(1, 2) for seed in (2, 3))
    bias = torch.zeros(rows, 1, tokens)
    bias[1, :, (tokens + 1) // 2 :] = HIDDEN
    wanted = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(1) if padded else None)
    found = attended(q, k, v, bias if padded else None)
    torch.testing.assert_close(found, wanted.transpose(1, 2).flatten(2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("apart", [0.0, 30.0, 80.0, 200.0, 1e6])
@pytest.mark.usefixtures("_amount")
def test_rows_of_a_head_may_have_scores_however_far_apart(apart: float) -> None:
    """What is taken off is the largest of a head: of a row far below it nothing may be left."""
    scores = draw(HEADS, 6, 5) + apart * torch.arange(6)[:, None]
    wanted = torch.softmax(scores.double(), dim=-1)
    torch.testing.assert_close(softened(scores).double(), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("_amount")
def test_what_is_hidden_has_no_share_at_all() -> None:
    scores = draw(2, 3, 5)
    scores[:, :, 3:] += HIDDEN
    found = softened(scores)
    assert not found[:, :, 3:].any()
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 3))

"""The gradient of the expected reward: the estimator's mean over all draws is it, whatever the number of samples."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from hone.train.policy import leave_one_out, policy_loss

TOKENS, LENGTH = 3, 2
TEXTS = torch.tensor(list(itertools.product(range(TOKENS), repeat=LENGTH)))  # all of a toy language


def chances_of(scores: Tensor) -> Tensor:
    """Log-probabilities of every text, by scores [1 + TOKENS, TOKENS] of a token after each token, and first of all."""
    told = scores.log_softmax(1)
    first, second = TEXTS.T
    return told[0, first] + told[1 + first, second]


@pytest.fixture
def toy() -> tuple[Tensor, Tensor, Tensor]:
    """A policy's scores, the log-probabilities of all texts by a reference, and what each text is worth."""
    torch.manual_seed(3)
    scores = torch.randn(1 + TOKENS, TOKENS, dtype=torch.float64, requires_grad=True)
    reference = chances_of(torch.randn(1 + TOKENS, TOKENS, dtype=torch.float64))
    return scores, reference, torch.randn(len(TEXTS), dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.0, 0.7])
@pytest.mark.parametrize("samples", [2, 3])
def test_the_estimator_is_unbiased(samples: int, beta: float, toy: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, reference, rewards = toy
    chances = chances_of(scores)
    expected = (chances.exp() * (rewards - beta * (chances - reference))).sum()
    wanted = torch.autograd.grad(-expected, scores, retain_graph=True)[0]
    draws = torch.tensor(list(itertools.product(range(len(TEXTS)), repeat=samples)))  # every way to draw so many
    how_often = chances.detach()[draws].sum(1).exp()
    losses = policy_loss(chances[draws], rewards[draws], reference[draws], beta=beta)
    found = torch.autograd.grad((how_often * losses).sum(), scores)[0]
    assert how_often.sum().item() == pytest.approx(1.0)
    assert torch.allclose(found, wanted, atol=1e-12)


def test_each_is_judged_beside_the_others() -> None:
    rewards = torch.tensor([[1.0, 2.0, 6.0]])
    assert leave_one_out(rewards).tolist() == [[-3.0, -1.5, 4.5]]


def test_rewards_that_are_alike_teach_nothing(toy: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, reference, _ = toy
    chances = chances_of(scores)[:4][None]
    loss = policy_loss(chances, torch.full((1, 4), 5.0, dtype=torch.float64), chances.detach(), beta=0.3)
    assert torch.autograd.grad(loss.sum(), scores)[0].abs().max().item() < 1e-12

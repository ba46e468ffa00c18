"""Losses over pairs of texts of which one is better; each gives one number a pair.

With ``p`` the probability of a text by the model that learns and ``r`` by the reference, from which it started,
``h = log(p(chosen) / r(chosen)) - log(p(rejected) / r(rejected))`` is what they are functions of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hone.train.prefer_settings import DpoSettings, IpoSettings, UnlikelihoodSettings


@dataclass(frozen=True)
class Told:
    """What a loss is told of some pairs.

    Attributes:
        likelihoods: Log-probabilities of the better and the worse text, float32 [pairs, 2], which learn.
        reference: The same by the reference, float32 [pairs, 2].
        tokens: How many tokens each text has, float32 [pairs, 2].
        unlikely: Gives of each pair the sum of ``log(1 - probability)`` over those tokens of the worse text that come
            where it parts from the better one, and how many these are, float32 [pairs] each.
    """

    likelihoods: Tensor
    reference: Tensor
    tokens: Tensor
    unlikely: Callable[[], tuple[Tensor, Tensor]]

    @property
    def ratios(self) -> Tensor:
        """Log ratios of both texts to the reference, float32 [pairs, 2]."""
        return self.likelihoods - self.reference


def dpo(settings: DpoSettings, told: Told) -> Tensor:
    """``-(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h)``, ``e`` the label smoothing (Rafailov et al. 2023, eq.
    7; Mitchell 2023)."""
    h = settings.beta * (told.ratios[:, 0] - told.ratios[:, 1])
    wrong = settings.label_smoothing
    return -(1 - wrong) * functional.logsigmoid(h) - wrong * functional.logsigmoid(-h)


def ipo(settings: IpoSettings, told: Told) -> Tensor:
    """``(h - 1 / (2 tau))^2`` (Azar et al. 2023, eq. 17), of ratios a token or of whole texts."""
    ratios = told.ratios / told.tokens if settings.per_token else told.ratios
    return (ratios[:, 0] - ratios[:, 1] - 1 / (2 * settings.tau)) ** 2


def unlikelihood(settings: UnlikelihoodSettings, told: Told) -> Tensor:
    """``-log p(chosen)`` a token, and ``-weight * log(1 - p)`` of a token of the worse text (Welleck et al. 2019,
    section 5). What both texts begin with would be learned and unlearned at once, so it is left to the former."""
    summed, count = told.unlikely()
    return surprise(told) - settings.weight * summed / count.clamp(min=1)


def surprise(told: Told) -> Tensor:
    """How surprised the model is by each better text, a token, in nats, float32 [pairs]."""
    return -told.likelihoods[:, 0] / told.tokens[:, 0]


def log_not(logits: Tensor, tokens: Tensor) -> Tensor:
    """``log(1 - p)`` of ``tokens``, int64 [n], by ``logits``, float32 [n, vocabulary]: the sum over all others, so that
    it has a derivative however near to 1 ``p`` is."""
    others = logits.scatter(1, tokens[:, None], -torch.inf)
    return others.logsumexp(1) - logits.logsumexp(1)

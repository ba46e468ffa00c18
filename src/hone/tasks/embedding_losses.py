"""Losses over the embeddings of a batch, each ``(summed total, rows)``; what they compare is cosines."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from hone.tasks.settings import SentenceEmbeddingSettings

FARTHEST = -1e9  # logit of what is no negative


def embedding_loss(texts: Tensor, batch: Mapping[str, Tensor], *, settings: SentenceEmbeddingSettings) -> Tensor:
    """The loss that ``settings`` name, summed over the rows; the mean over its sizes where there are several.

    Args:
        texts: Embeddings of any length, float32 [rows, texts of a row, width].
        batch: ``names`` int64 [rows * texts of a row], equal for equal texts, or for texts of one label where a row is
            one text; and ``score`` float32 [rows].
    """
    sizes = [*settings.matryoshka, texts.shape[2]]
    names = batch["names"].view(texts.shape[:2])
    totals = []
    for size in sizes:
        unit = functional.normalize(texts[:, :, :size], dim=2)
        if unit.shape[1] == 1:
            totals.append(supervised(unit[:, 0], names[:, 0], temperature=settings.temperature))
        elif settings.loss == "contrastive":
            totals.append(contrastive(unit, names, temperature=settings.temperature))
        elif settings.loss == "triplet":
            totals.append(triplet(unit, margin=settings.margin))
        elif settings.loss == "cosine":
            low, high = settings.lowest or 0.0, 1.0 if settings.highest is None else settings.highest
            totals.append(cosine(unit, (batch["score"] - low) / (high - low)))
        else:
            totals.append(cosent(unit, batch["score"], temperature=settings.temperature))
    return torch.stack(totals).mean()


def contrastive(unit: Tensor, names: Tensor, *, temperature: float) -> Tensor:
    """Cross-entropy of each row's second text among all second and third texts of the batch, by cosines with its first
    over ``temperature``. Texts equal to the row's own first or second are no negatives.

    Args:
        unit: float32 [rows, 2 or 3, width], of length 1.
        names: int64 [rows, 2 or 3].
    """
    rows = len(unit)
    others, called = unit[:, 1:].transpose(0, 1).flatten(0, 1), names[:, 1:].T.flatten()  # all seconds, all thirds
    scores = unit[:, 0] @ others.T / temperature  # [rows, rows * (1 or 2)]
    same = (called == names[:, :1]) | (called == names[:, 1:2])
    same[torch.arange(rows), torch.arange(rows)] = False
    gold = torch.arange(rows, device=unit.device)
    return functional.cross_entropy(scores.masked_fill(same, FARTHEST), gold, reduction="sum")


def triplet(unit: Tensor, *, margin: float) -> Tensor:
    """How much nearer than ``margin`` below the second text the third is to the first, by cosines; of unit float32
    [rows, 3, width]."""
    near, far = (unit[:, :1] * unit[:, 1:]).sum(2).T
    return functional.relu(margin + far - near).sum()


def cosine(unit: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of the cosines of unit float32 [rows, 2 or 3, width] to ``wanted`` float32 [rows]."""
    return functional.mse_loss((unit[:, 0] * unit[:, 1]).sum(1), wanted, reduction="sum")


def cosent(unit: Tensor, scores: Tensor, *, temperature: float) -> Tensor:
    """``rows * log(1 + sum exp((cosine_j - cosine_i) / temperature))`` over all pairs of rows of which i has the higher
    score."""
    cosines = (unit[:, 0] * unit[:, 1]).sum(1) / temperature
    apart = cosines[None, :] - cosines[:, None]  # [i, j]
    wrong = apart[scores[:, None] > scores[None, :]]
    return len(unit) * torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0)


def supervised(states: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrast (Khosla et al. 2020), summed over the rows that share their label with others: each row's
    mean over these others ``j`` of ``-log(exp(s_ij) / sum over k != i of exp(s_ik))``, where ``s`` is the cosine by the
    temperature.

    Args:
        states: float32 [rows, width].
        labels: int64 [rows].
    """
    if len(labels) == 1:  # a softmax over no others
        return states.new_zeros(())
    directions = functional.normalize(states, dim=1)
    likeness = directions @ directions.T / temperature
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    chances = functional.log_softmax(likeness.masked_fill(itself, -torch.inf), dim=1).masked_fill(itself, 0.0)
    alike = ((labels[:, None] == labels) & ~itself).to(chances.dtype)
    counts = alike.sum(1)
    return -((chances * alike).sum(1) / counts.clamp(min=1.0)).sum()

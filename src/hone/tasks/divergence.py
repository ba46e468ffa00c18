"""How far two scores of the same examples lie apart, whatever they tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hone.tasks.protocol import Says

NEVER = -1e9  # score of a place that is padding


def mask_of(parts: Sequence[Any], scores: Tensor) -> Tensor:
    """Which of the padded ``scores`` [batch, labels] or [batch, longest, labels] are scores: bool of that shape without
    labels; ``parts`` are those of each row alone, as a task decodes them."""
    shape = scores.shape[:-1]
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bool, device=scores.device)
    lengths = torch.tensor([len(part) for part in parts])
    return (torch.arange(shape[1]) < lengths[:, None]).to(scores.device)


def answers(scores: Tensor, mask: Tensor, *, says: Says) -> Tensor:
    """Each answer's scores, float32 [answers, choices], of padded ones [batch, ..., labels] under a mask bool
    [batch, ...]. Where each label has one place, the places are what is chosen among: two answers a row, say."""
    if says != "place":
        return scores[mask]
    return scores.masked_fill(~mask.unsqueeze(2), NEVER).transpose(1, 2).flatten(0, 1)


def distance(student: Tensor, teacher: Tensor, *, says: Says, temperature: float) -> Tensor:
    """How far a student's scores lie from its teacher's, summed over the answers; both float32 [answers, labels].

    Of one label or place among all: ``T^2 KL(softmax(teacher / T), softmax(student / T))``, of a start and an end their
    mean. Of labels each by itself: the same of each label's two outcomes, mean over the labels. Of numbers: the squared
    error, of directions that of the vectors at length 1, which know no temperature.
    """
    if says == "direction":
        student, teacher = (functional.normalize(each, dim=-1) for each in (student, teacher))
        return functional.mse_loss(student, teacher, reduction="sum")
    if says == "number":
        return functional.mse_loss(student, teacher, reduction="sum")
    student, teacher = student / temperature, teacher / temperature
    if says in ("one", "place"):
        said, taught = functional.log_softmax(student, dim=-1), functional.log_softmax(teacher, dim=-1)
        share = 2 if says == "place" else 1
        return functional.kl_div(said, taught, log_target=True, reduction="sum") * temperature**2 / share
    said, taught = (functional.logsigmoid(torch.stack([one, -one])) for one in (student, teacher))
    return functional.kl_div(said, taught, log_target=True, reduction="sum") * temperature**2 / student.shape[-1]

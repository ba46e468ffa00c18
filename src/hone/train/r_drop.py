"""``r-drop``: two passes of a batch under different masks of dropout are to say the same (Liang et al. 2021)."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from hone.models.heads import Outputs
from hone.tasks.divergence import answers, distance, mask_of
from hone.tasks.protocol import Task
from hone.tasks.rows import Batch
from hone.train.technique import Course, Pass, Technique
from hone.train.techniques import RDropSettings


class RDrop(Technique):
    """The mean of both passes' losses, and ``alpha`` times half the sum of both divergences: Kullback and Leibler's of
    the labels' chances, of each label's two outcomes where labels are said each by itself, or the squared difference of
    numbers, as in the paper.

    Args:
        settings: Its weight.
        course: Whose task tells what scores say.
    """

    def __init__(self, settings: RDropSettings, course: Course) -> None:
        self._alpha = settings.alpha
        self._task = cast(Task, course.task)  # it needs answers, and is refused where there are none

    def on_loss(self, loss: Tensor, seen: Pass) -> Tensor:
        outputs, second = seen.again()
        one, other = (self._answers(each, seen.batch) for each in (seen.outputs, outputs))
        says = self._task.says
        apart = distance(one, other, says=says, temperature=1.0) + distance(other, one, says=says, temperature=1.0)
        # The mean loss of an answer counts whatever answers weigh: as much as the divergence of one.
        weight = seen.loss.weight / max(1, _count(one, seen.batch, says=says))
        return (loss + second.total) / 2 + self._alpha * weight * apart / 2

    def _answers(self, outputs: Outputs, batch: Batch) -> Tensor:
        scores = outputs["logits"].float()
        parts = self._task.decode({name: value.detach() for name, value in outputs.items()}, batch)
        return answers(scores, mask_of(parts, scores), says=self._task.says)


def _count(scores: Tensor, batch: Batch, *, says: str) -> int:
    """How many rows or words were answered; a start and an end are one answer."""
    return len(batch["input_ids"]) if says == "place" else len(scores)

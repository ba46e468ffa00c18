"""A task whose loss also follows what a teacher says of each row (Hinton et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hone.compress.likeness import Likeness
from hone.models.heads import Outputs
from hone.tasks.divergence import answers, distance, mask_of
from hone.tasks.protocol import Loss, LossOptions, Task
from hone.tasks.rows import Batch, IntArray, Rows


class Taught:
    """``task`` with the loss ``own * loss + (1 - own) * apart``, and the distance of inner states beside it where there
    is a `Likeness`: a row's counts as often as the row has answers. ``apart`` is `distance` to what the teacher says.

    In all else it is the task. The teacher's scores are made once, so that an epoch costs the student alone.

    Args:
        scores: The teacher's scores of every row, as the task decodes them: [labels], or [words, labels].
        labeled: bool [rows]; rows without labels follow the teacher alone.
        temperature: ``T``; above 1 the teacher's less likely labels count for more.
        own: Weight of the task's own loss, 0 to 1.
        likeness: Of the student's and the teacher's inner states; None: they do not count.
    """

    def __init__(
        self,
        task: Task,
        scores: Sequence[NDArray[np.float32]],
        *,
        labeled: NDArray[np.bool_],
        temperature: float,
        own: float,
        likeness: Likeness | None = None,
    ) -> None:
        self._task, self._scores, self._labeled = task, scores, labeled
        self._temperature, self._own, self._likeness = temperature, own, likeness

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def drawing(self, rows: Rows) -> int:
        """Nothing is drawn: the teacher has said what it says of these very rows."""
        return 0

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """The task's batch, with ``taught`` float32 [batch, labels] or [batch, words, labels], ``taught_mask`` bool of
        that shape without labels, and ``labeled`` bool [batch]."""
        batch = self._task.collate(rows, index)
        parts = [torch.from_numpy(np.array(self._scores[i])) for i in index]
        batch["taught"] = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
        batch["taught_mask"] = mask_of(parts, batch["taught"])
        batch["labeled"] = torch.from_numpy(self._labeled[index])
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """See the class; the weight is the number of answers, labeled or not."""
        mask, says = batch["taught_mask"], self._task.says
        said = outputs["logits"].float()
        both = (
            said if says == "direction" else answers(said, mask, says=says),
            answers(batch["taught"], mask, says=says),
        )
        total: Tensor = (1 - self._own) * distance(*both, says=says, temperature=self._temperature)
        counts = mask.sum(1) if mask.ndim > 1 and says != "place" else torch.ones(len(mask))
        if says == "direction":  # a text has a row of its own in what the model reads
            counts = torch.ones(len(said))
        chosen = batch["labeled"]
        if self._own and bool(chosen.any()):
            texts = chosen.repeat_interleave(batch["texts"]) if says == "direction" else chosen
            known = {name: value[chosen if len(value) == len(chosen) else texts] for name, value in batch.items()}
            own = {**outputs, "logits": outputs["logits"][texts]}
            total = total + self._own * self._task.loss(own, known, options=options).total
        if self._likeness is not None:
            total = total + (self._likeness.of(batch) * counts).sum()
        return Loss(total, float(counts.sum()))

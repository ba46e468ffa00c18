"""`Epochs`: every step of a training and the rows of its batches, by seed and step alone, whoever takes it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hone.data.passes import Passes
from hone.tasks.protocol import Comparing, Objective
from hone.tasks.rows import IntArray, Rows
from hone.train.batches import distinct, epoch_batches, step_batches
from hone.train.settings import LoopSettings


class Epochs:
    """The order that a training takes its rows in. Where a training stands in it is the number of its step: what was
    taken before makes no difference, nor how many processes share a step.

    Attributes:
        per_epoch: Optimizer steps of an epoch.
        total: Of the whole training.
        tokens: Tokens of all rows that are taken.

    Args:
        passes: Which rows each epoch has, and in what order; None: every row once.
    """

    def __init__(
        self, task: Objective, rows: Rows, *, settings: LoopSettings, seed: int, passes: Passes | None
    ) -> None:
        self._task, self._rows, self._settings, self._seed, self._passes = task, rows, settings, seed, passes
        lengths = rows.lengths if passes is None else rows.lengths[passes.epoch(0)]
        self._batches = settings.batches(lengths)  # of each epoch, though others may have a few tokens more or less
        self.per_epoch, self.total = settings.steps(lengths)
        self.tokens = float(lengths.sum()) * self.total / self.per_epoch

    def steps(self, begin: int) -> Iterator[tuple[int, list[IntArray]]]:
        """Every step from the number ``begin`` on, and the rows of each of its batches."""
        step = begin
        while step < self.total:
            epoch, skip = divmod(step, self.per_epoch)
            coming = self._epoch(epoch)[skip : skip + self.total - step]
            yield from enumerate(coming, start=step)
            step += len(coming)

    def _epoch(self, epoch: int) -> list[list[IntArray]]:
        settings, together = self._settings, self._settings.gradient_accumulation_steps
        batches = epoch_batches(
            self._rows.lengths,
            size=settings.per_device_train_batch_size,
            seed=self._seed,
            epoch=epoch,
            strategy=settings.train_sampling_strategy,
            tokens=settings.per_device_train_batch_tokens,
            order=None if self._passes is None else self._passes.epoch(epoch),
            count=self._batches,
        )
        if isinstance(self._task, Comparing):
            batches = distinct(batches, partial(self._task.once, self._rows), together=together)
        return list(step_batches(batches, accumulate=together))

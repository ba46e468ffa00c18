"""``swa``: what remains is the plain mean of the weights at the ends of the late epochs (Izmailov et al. 2018).

The paper holds the rate high while it averages: ``lr_scheduler_type: constant``, or a late start of a schedule that
does not reach zero, gives states that differ, and with them something to average.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hone.train.averaged import Averaged
from hone.train.technique import Course
from hone.train.techniques import SwaSettings

COUNT = "snapshots"  # not the name of a weight, for those have dots


class Swa(Averaged):
    """The mean of snapshots: those every so many steps, or at the ends of epochs, from ``start`` on, and the last
    state. Before the first of them the weights are what they are.

    Args:
        settings: When snapshots are taken.
        course: Whose weights are averaged, those that learn.
    """

    def __init__(self, settings: SwaSettings, course: Course) -> None:
        super().__init__({n: p for n, p in course.model.named_parameters() if p.requires_grad})
        self._first = settings.start * course.steps
        self._every = settings.every_steps or course.steps_per_epoch
        self._last, self._settled = course.steps, course.settled
        self._taken = 0

    def on_step(self, step: int) -> None:
        if step < self._first or (step % self._every and step != self._last):
            return
        self._taken += 1
        with self._settled():
            if self._taken == 1:
                self._begin()
            else:
                self._mix_in(1 / self._taken)

    def state(self) -> dict[str, Tensor]:
        return {**super().state(), COUNT: torch.tensor(self._taken)} if self._taken else {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        super().restore(state)
        self._taken = int(state[COUNT]) if state else 0

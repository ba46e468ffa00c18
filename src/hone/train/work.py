"""`Work`: the batches of a step that one process goes through, made from the rows of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hone.tasks.protocol import Drawing, Objective, draws
from hone.tasks.rows import Batch, IntArray, Rows
from hone.train.frozen import FrozenStates
from hone.train.processes import Processes

DRAWS = 0x3A5C  # sets the seeds of a task's draws apart from others'


@dataclass(frozen=True)
class Work:
    """What a process does of a step.

    Attributes:
        numbers: Which of the step's batches it sends through the model.
        batches: Those.
        counts: Which of them are its own; others only keep it in step with other processes.
        tokens: Of the whole step, whoever reads them.
        rows: The examples of the whole step, int64 [n].
    """

    numbers: list[int]
    batches: list[Batch]
    counts: list[bool]
    tokens: int
    rows: IntArray


@dataclass(frozen=True)
class Shares:
    """Makes a process's work of a step.

    Attributes:
        frozen: What the frozen layers give for the rows, where it was made beforehand.
        in_step: Whether all processes must send as many batches through the model.
    """

    task: Objective
    rows: Rows
    seed: int
    frozen: FrozenStates | None
    processes: Processes
    in_step: bool = False

    def work(self, coming: tuple[int, list[IntArray]]) -> Work:
        """Of a step and the rows of its batches, on the CPU. What is drawn goes by seed, step and batch, so that a
        resumed run draws the same, and so do several processes."""
        step, batches = coming
        sizes = [int(self.rows.lengths[index].sum()) for index in batches]
        shares = self.processes.shares(sizes)
        mine = shares[self.processes.lane]
        idle = max(map(len, shares)) - len(mine) if self.in_step else 0
        counts = [True] * len(mine) + [False] * idle
        mine = mine + [sizes.index(min(sizes))] * idle
        made = [self._batch(step, i, batches[i]) for i in mine]
        tokens = max(1, draws(self.task, self.rows)) * sum(sizes)
        return Work(mine, made, counts, tokens, self.rows.example[np.concatenate(batches)])

    def _batch(self, step: int, number: int, index: IntArray) -> Batch:
        if isinstance(self.task, Drawing) and draws(self.task, self.rows):
            batch = self.task.draw(self.rows, index, rng=np.random.default_rng([self.seed, DRAWS, step, number]))
        else:
            batch = self.task.collate(self.rows, index)
        if self.frozen is not None:
            batch["lower_states"] = self.frozen.of(index)
        return batch

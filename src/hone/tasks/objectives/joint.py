"""A task and objectives of pretraining together: labeled rows, and text that nobody labeled, in every step."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hone.data.passes import Passes
from hone.models.addressed import addressed, by_head
from hone.models.heads import Outputs
from hone.models.noise import Noise
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.objectives.timed import Timed
from hone.tasks.protocol import Columns, Drawing, Loss, LossOptions, Purpose, Task, draws
from hone.tasks.rows import Batch, IntArray, Rows

Schedule = Literal["constant", "falling"]


class Joint(Timed):
    """``L_task + weight * L_pretraining``, means both: beside each batch of labeled rows as many rows of the text are
    drawn. The task's head is the model's first, those of the objectives stand under their names.

    Args:
        task: What is learned of the labeled rows.
        learning: The objectives.
        text: Rows of the text.
        weight: Of the objectives' loss.
        schedule: Whether the weight stays, or falls in a line to nothing at the last step.
        passes: How often each row of the text is drawn beside the others; None: all alike.
    """

    name = "joint"

    def __init__(
        self,
        task: Task,
        learning: Pretraining,
        text: Rows,
        *,
        weight: float,
        schedule: Schedule,
        passes: Passes | None = None,
    ) -> None:
        self.task, self.text, self._passes = task, text, passes
        self.parts = {part.name: part for part in learning.parts.values()}
        self.settings, self.labels, self.tokenizer, self.head = task.settings, task.labels, task.tokenizer, task.head
        self._learning, self._weight, self._schedule = learning, weight, schedule

    @property
    def decided(self) -> dict[str, Any]:
        """What decides which text is drawn and is said neither by the stage's settings nor by the data: plain JSON."""
        return {} if self._passes is None else {"text": dict(self._passes.decided)}

    @property
    def max_tokens(self) -> int:
        return self.task.max_tokens

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return self.task.row_schema

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """The task's."""
        return self.task.encode(columns, purpose=purpose, start=start)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """The task's: what is measured has nothing of the text."""
        return self.task.collate(rows, index)

    def drawing(self, rows: Rows) -> int:
        """See `Drawing.drawing`."""
        return max(1, draws(self.task, rows)) + sum(part.reads for part in self.parts.values())

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """The labeled rows ``index``, and as many rows of the text for each objective."""
        if isinstance(self.task, Drawing) and draws(self.task, rows):
            batch = dict(self.task.draw(rows, index, rng=rng))
        else:
            batch = dict(self.task.collate(rows, index))
        count = len(index)
        passes = self._passes
        drawn = rng.integers(0, len(self.text), count) if passes is None else passes.drawn(count, rng=rng)
        for name, part in self.parts.items():
            batch |= addressed(part.draw(self.text, drawn, rng=rng), name)
        return batch

    def timed(self, clock: Noise, *, steps: int) -> None:
        """See `Timed.timed`."""
        super().timed(clock, steps=steps)
        self._learning.timed(clock, steps=steps)

    @property
    def weight(self) -> float:
        """Of the objectives' loss at the step that is made."""
        return self._weight * (1 - self.done if self._schedule == "falling" else 1.0)

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """The task's, and beside it the objectives' means, once for all that the task's weighs."""
        scores, given = by_head(outputs), by_head(batch)
        own = self.task.loss(scores[""], given[""], options=options)
        beside = own.total.new_zeros(())
        for name, part in self.parts.items():
            found = part.loss(scores[name], given[name])
            beside = beside + part.settings.weight * found.total / found.weight
        return Loss(own.total + self.weight * own.weight * beside, own.weight)

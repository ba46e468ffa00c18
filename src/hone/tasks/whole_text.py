"""What tasks over whole texts, or pairs of them, have in common: rows of text with one target an example, one array of
scores a row, and one answer an example from its rows' scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from hone.data.fields import Field
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.tasks.form import Form
from hone.tasks.protocol import Columns, FloatArray, Prediction, Purpose
from hone.tasks.reading import Reading, joined
from hone.tasks.rows import Batch, IntArray, Rows, rows_of


class WholeText(Form):
    """A task fills in its fields, `target_type`, `target_of`, `meaning` and `answer`, its loss and its measures.

    Args:
        settings: The task's settings.
        labels: Names of the scores, in their order.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    inputs: tuple[Field, ...] = (Field("text", "text"),)
    targets: tuple[Field, ...]
    additive = False
    target_type: pa.DataType

    def __init__(self, settings: Any, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self._reading = self.reading(model_limit)
        self.max_tokens = self._reading.max_tokens
        self.head = HeadSpec(self.head_kind(), labels)

    def reading(self, model_limit: int) -> Reading:
        """How its examples become rows."""
        names = [field.name for field in self.inputs]
        apart = self.head_kind() == "sequence-pair"
        return Reading(self.settings, tokenizer=self.tokenizer, model_limit=model_limit, fields=names, apart=apart)

    def head_kind(self) -> str:
        """Name of its head."""
        return f"sequence-{self.settings.pooling}"

    def target_of(self, value: Any) -> Any:
        """An example's target as its rows hold it."""
        return value

    def meaning(self, scores: FloatArray) -> FloatArray:
        """What rows' scores [rows, labels] stand for, of that shape: what windows of one text are averaged by."""
        return scores

    def answer(self, values: FloatArray, *, truncated: bool) -> Prediction:
        """The answer to an example, of its `meaning` [labels]."""
        raise TypeError(f"{type(self).__name__} gives no answer")

    @classmethod
    def known(cls, settings: Any, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Those that training showed, of its one target."""
        return {cls.targets[0].name: labels}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._reading.schema, self.targets[0].name: self.target_type}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        out = self._reading.encode(columns, purpose=purpose, start=start)
        if purpose == "predict":
            return rows_of(out, self._reading.schema)
        name = self.targets[0].name
        out[name] = [self.target_of(columns[name][example - start]) for example in out["example"]]
        return rows_of(out, self.row_schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = self._reading.collate(rows, index)
        name = self.targets[0].name
        return {**batch, name: self.collated(rows, index)} if name in rows.table.column_names else batch

    def collated(self, rows: Rows, index: IntArray) -> Tensor:
        """The targets of the rows ``index``, as the loss takes them."""
        raise TypeError(f"{type(self).__name__} has no targets")

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        return list(outputs["logits"].float().cpu().numpy())

    def join(
        self,
        columns: Columns,
        rows: Rows,
        partials: Sequence[NDArray[np.float32]],
        *,
        constants: Mapping[str, Tensor],
    ) -> list[Prediction]:
        if not len(rows):
            return []
        values, cut = joined(rows, self.meaning(np.asarray(partials, dtype=np.float64)))
        return [self.answer(row, truncated=bool(c)) for row, c in zip(values, cut, strict=True)]

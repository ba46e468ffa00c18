"""``multiple-choice``: which of the choices of a row answers its question.

A prediction is ``{"label", "answer", "score", "scores", "truncated"}``: the place of the best choice, from 0, its text,
its probability, every choice's, and whether text was cut off. Rows may have different numbers of choices; the model
reads each with the question, and a row has all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.metrics.calibration import expected_calibration_error
from hone.models.heads import NEVER, HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.report.report import Cell, Grid
from hone.tasks.calibration_tables import calibration_tables
from hone.tasks.form import Form
from hone.tasks.long_text import TextTooLong
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.reading import Reading
from hone.tasks.rows import ROWS_SCHEMA, SECOND, SECONDS, Batch, IntArray, Rows, rows_of, several_texts
from hone.tasks.settings import MultipleChoiceSettings


class MultipleChoice(Form):
    """One of the choices of a row.

    Args:
        settings: The task's settings.
        labels: Always the one name ``choice``, of the score that each choice has.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "multiple-choice"
    inputs = (Field("question", "text"), Field("choices", "texts"))
    targets = (Field("label", "choice"),)
    says: Says = "choice"
    additive = False
    main_measure = "accuracy"
    measure_specs: Mapping[str, MeasureSpec] = {
        "accuracy": MeasureSpec(interval="wilson"),
        "ece": MeasureSpec(better="lower"),
    }

    def __init__(
        self, settings: MultipleChoiceSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        fields = ["question", "choice"]
        self._reading = Reading(settings, tokenizer=tokenizer, model_limit=model_limit, fields=fields)
        self.max_tokens = self._reading.max_tokens
        self.head = HeadSpec("multiple-choice", labels)

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The name of the score that each choice has."""
        return ("choice",)

    @property
    def _input_schema(self) -> dict[str, pa.DataType]:
        numbers = pa.list_(pa.int32())
        schema = {**ROWS_SCHEMA, "lengths": numbers}
        return {**schema, SECONDS: numbers} if SECOND in self._reading.schema else schema

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._input_schema, "label": pa.int64()}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`. ``lengths`` are the tokens of each choice of a row with its question, ``seconds`` where
        the choice begins among them."""
        counts = [len(choices) for choices in columns["choices"]]
        owner = np.repeat(np.arange(len(counts)), counts).tolist()
        flat = {
            "question": [columns["question"][i] for i in owner],
            "choice": [choice for choices in columns["choices"] for choice in choices],
        }
        try:
            read = self._reading.encode(flat, purpose=purpose, start=0)
        except TextTooLong as error:
            raise error.owned([start + i for i in owner]) from error
        schema = self._input_schema if purpose == "predict" else self.row_schema
        out: dict[str, list[Any]] = {name: [] for name in schema}
        ends = np.cumsum(counts, dtype=np.int64).tolist()
        for i, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
            texts = read["input_ids"][first:end]
            out["example"].append(start + i)
            out["truncated"].append(any(read["truncated"][first:end]))
            out["text_tokens"].append(max(read["text_tokens"][first:end]))
            out["input_ids"].append([token for text in texts for token in text])
            out["lengths"].append([len(text) for text in texts])
            if SECONDS in out:
                out[SECONDS].append(read[SECOND][first:end])
            if purpose == "learn":
                out["label"].append(columns["label"][i])
        return rows_of(out, schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """`several_texts`, and of rows to learn from ``label`` int64 [rows]."""
        batch = several_texts(rows, index, pad_id=self.tokenizer.pad_id)
        if "label" in rows.table.column_names:
            batch["label"] = torch.from_numpy(rows.scalar("label")[index])
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        scores = outputs["logits"].float()[:, 0]  # [texts]
        parts = list(torch.split(scores, batch["texts"].tolist()))
        padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=NEVER)  # [rows, most]
        each = functional.cross_entropy(padded, batch["label"], reduction="none")
        return Loss(each.sum(), float(len(each)))

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        """Scores of each row's choices, float32 [choices]."""
        scores = outputs["logits"].float().cpu().numpy()[:, 0]
        return np.split(scores, np.cumsum(batch["texts"].cpu().numpy())[:-1])

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
        cut = rows.scalar("truncated").astype(bool).tolist()
        found = []
        for choices, scores, one in zip(columns["choices"], partials, cut, strict=True):
            chances = np.exp(scores.astype(np.float64) - scores.max())
            chances /= chances.sum()
            best = int(chances.argmax())
            found.append({"label": best, "answer": choices[best], "score": float(chances[best]),
                          "scores": chances.tolist(), "truncated": one})  # fmt: skip
        return found

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Whether the answer is right, and its confidence: float64 [examples, 2]."""
        said = [(prediction["label"], prediction["score"]) for prediction in predictions]
        rows = [(gold == label, sure) for gold, (label, sure) in zip(columns["label"], said, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        right = tally[:, 0] > 0
        return {"accuracy": float(right.mean()), "ece": expected_calibration_error(tally[:, 1], right)}

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        right, counts = tally[:, 0] > 0, np.array([len(choices) for choices in columns["choices"]])
        rows: list[list[Cell]] = [
            [f"{count}", float(right[counts == count].mean()), int((counts == count).sum())]
            for count in np.unique(counts).tolist()
        ]
        sure = [(p["score"], p["scores"][gold]) for p, gold in zip(predictions, columns["label"], strict=True)]
        return Scored(
            {
                "by_choices": Grid(columns=["choices", "accuracy", "count"], rows=rows, show="bars"),
                **calibration_tables(tally[:, 1], right),
            },
            np.array([0.0 if hit else max(said - gold, 1e-12) for hit, (said, gold) in zip(right, sure, strict=True)]),
            list(columns["question"]),
            [choices[gold] for choices, gold in zip(columns["choices"], columns["label"], strict=True)],
            [prediction["answer"] for prediction in predictions],
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool(one["label"] == other["label"])

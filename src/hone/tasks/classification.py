"""``text-classification``: one label a text; ``text-pair-classification``: one a pair (inference, paraphrase).

A prediction is ``{"label", "score", "scores", "truncated"}``: the likeliest label, its probability, every label's
probability, and whether text was cut off before the model read it.
"""

from __future__ import annotations

import re
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
from hone.metrics.classification import accuracy, confusion, f1_averages, per_class
from hone.models.heads import Outputs
from hone.report.report import Cell, Grid
from hone.tasks.calibration_tables import calibration_tables
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Says, Scored
from hone.tasks.rows import Batch, IntArray, Rows
from hone.tasks.settings import TextClassificationSettings
from hone.tasks.whole_text import WholeText

CONFUSED_PAIRS = 20


class TextClassification(WholeText):
    """Single-label classification of a text."""

    name = "text-classification"
    targets = (Field("label", "label"),)
    target_type = pa.int64()
    says: Says = "one"
    main_measure = "accuracy"
    measure_specs: Mapping[str, MeasureSpec] = {
        "accuracy": MeasureSpec(interval="wilson"),
        "macro_f1": MeasureSpec(),
        "micro_f1": MeasureSpec(),
        "weighted_f1": MeasureSpec(),
        "ece": MeasureSpec(better="lower", interval="bootstrap"),
    }

    @staticmethod
    def weighs_labels(settings: TextClassificationSettings) -> bool:
        """Always."""
        return True

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The labels a training set teaches, sorted; numbers in their own order."""
        seen = set(columns["label"])
        numeric = all(re.fullmatch(r"-?\d+", label) for label in seen)
        return tuple(sorted(seen, key=lambda label: (int(label), label) if numeric else (0, label)))

    def target_of(self, value: Any) -> int:
        return self._ids[value]

    def collated(self, rows: Rows, index: IntArray) -> Tensor:
        return torch.from_numpy(rows.scalar("label")[index])

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        labels, weights = batch["label"], options.class_weights
        each = functional.cross_entropy(
            outputs["logits"].float(), labels, weight=weights, label_smoothing=options.label_smoothing, reduction="none"
        )
        weight = float(len(labels)) if weights is None else float(weights[labels].sum())
        return Loss(each.sum(), weight)

    def meaning(self, scores: FloatArray) -> FloatArray:
        chances: FloatArray = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        return chances

    def answer(self, values: FloatArray, *, truncated: bool) -> Prediction:
        best = int(values.argmax())
        scores = dict(zip(self.labels, values.tolist(), strict=True))
        return {"label": self.labels[best], "score": float(values[best]), "scores": scores, "truncated": truncated}

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Gold label, predicted label, confidence: float64 [examples, 3]."""
        return np.array(
            [
                (self._ids[gold], self._ids[prediction["label"]], prediction["score"])
                for gold, prediction in zip(columns["label"], predictions, strict=True)
            ],
            dtype=np.float64,
        ).reshape(-1, 3)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        gold, predicted = tally[:, 0].astype(np.int64), tally[:, 1].astype(np.int64)
        counts = confusion(gold, predicted, len(self.labels))
        macro, micro, weighted = f1_averages(counts)
        return {
            "accuracy": accuracy(counts),
            "macro_f1": macro,
            "micro_f1": micro,
            "weighted_f1": weighted,
            "ece": expected_calibration_error(tally[:, 2], gold == predicted),
        }

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        gold, predicted = tally[:, 0].astype(np.int64), tally[:, 1].astype(np.int64)
        counts = confusion(gold, predicted, len(self.labels))
        tables = {
            "per_class": self._per_class(counts),
            "confusion": Grid(
                columns=["gold", *self.labels],
                rows=[[label, *map(int, row)] for label, row in zip(self.labels, counts, strict=True)],
                show="matrix",
            ),
            "most_confused": self._most_confused(counts),
            **calibration_tables(tally[:, 2], gold == predicted),
        }
        # How sure it was of a wrong answer, beyond what it gave the right one.
        badness = np.array(
            [
                prediction["score"] - prediction["scores"][label] if prediction["label"] != label else 0.0
                for prediction, label in zip(predictions, columns["label"], strict=True)
            ]
        )
        badness = np.where((gold != predicted) & (badness <= 0), 1e-12, badness)
        return Scored(
            tables, badness, self._reading.shown(columns), columns["label"], [p["label"] for p in predictions]
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool(one["label"] == other["label"])

    def _per_class(self, counts: NDArray[np.int64]) -> Grid:
        precision, recall, f1, support = per_class(counts)
        rows: list[list[Cell]] = [
            [label, float(f1[i]), float(precision[i]), float(recall[i]), int(support[i])]
            for i, label in enumerate(self.labels)
        ]
        return Grid(columns=["label", "f1", "precision", "recall", "support"], rows=rows, show="bars")

    def _most_confused(self, counts: NDArray[np.int64]) -> Grid:
        wrong = counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED_PAIRS]
        pairs = [divmod(int(k), len(self.labels)) for k in order]
        rows: list[list[Cell]] = [
            [self.labels[g], self.labels[p], int(wrong[g, p]), float(wrong[g, p] / counts[g].sum())]
            for g, p in pairs
            if wrong[g, p]
        ]
        return Grid(columns=["gold", "predicted", "count", "share"], rows=rows)


class TextPairClassification(TextClassification):
    """The same of two texts, which the model reads together, in this order."""

    name = "text-pair-classification"
    inputs = (Field("text_a", "text"), Field("text_b", "text"))

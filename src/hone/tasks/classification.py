"""``text-classification``: one label a text; ``text-pair-classification``: one a pair (inference, paraphrase).

A prediction is ``{"label", "score", "scores", "truncated"}``: the likeliest label, its probability, every label's
probability, and whether text was cut off before the model read it. With ``unknown_label`` a text that no label fits is
answered by that one; its score is the probability that the likeliest of the others was not given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.metrics.calibration import expected_calibration_error
from hone.metrics.classification import accuracy, counted, f1_averages
from hone.models.heads import Outputs
from hone.models.tokenizer import Tokenizer
from hone.tasks.calibration_tables import calibration_tables
from hone.tasks.label_answers import SCOPE_SPECS, OneLabel, names_of, probabilities, scope_measures
from hone.tasks.label_tables import confusion_tables, per_class_table
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Says, Scored
from hone.tasks.rows import Batch, IntArray, Rows
from hone.tasks.settings import TextClassificationSettings
from hone.tasks.whole_text import WholeText


class TextClassification(OneLabel, WholeText):
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
        **SCOPE_SPECS,
    }

    def __init__(self, settings: Any, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer, model_limit=model_limit)
        self._answer_by()

    @classmethod
    def known(cls, settings: Any, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """The labels, and the one that stands for none of them."""
        return {"label": names_of(labels, cls.unknown_of(settings))}

    @classmethod
    def weighs_labels(cls, settings: TextClassificationSettings) -> bool:
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
        scores, labels, weights = outputs["logits"].float(), batch["label"], options.class_weights
        if len(self._answers.names) > len(self.labels):  # rows of the label that training never showed teach nothing
            taught = labels < len(self.labels)
            scores, labels = scores[taught], labels[taught]
        each = functional.cross_entropy(
            scores, labels, weight=weights, label_smoothing=options.label_smoothing, reduction="none"
        )
        weight = float(len(labels)) if weights is None else float(weights[labels].sum())
        return Loss(each.sum(), weight)

    def meaning(self, scores: FloatArray) -> FloatArray:
        return probabilities(scores)

    def answer(self, values: FloatArray, *, truncated: bool) -> Prediction:
        scores = dict(zip(self.labels, values.tolist(), strict=True))
        return {**self._answers.of(scores), "truncated": truncated}

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Gold label, predicted label, confidence, whether the gold label is known, whether not: float64
        [examples, 5]."""
        gold = np.array([self._ids[label] for label in columns["label"]], dtype=np.int64)
        said = np.array([self._ids[prediction["label"]] for prediction in predictions], dtype=np.int64)
        sure = np.array([prediction["score"] for prediction in predictions], dtype=np.float64)
        return np.column_stack([gold, said, sure, self._answers.scope(gold)]).astype(np.float64)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        gold, predicted = tally[:, 0].astype(np.int64), tally[:, 1].astype(np.int64)
        names = self._answers.names
        counts = counted(gold, predicted, len(names))
        macro, micro, weighted = f1_averages(counts)
        found = {
            "accuracy": accuracy(counts),
            "macro_f1": macro,
            "micro_f1": micro,
            "weighted_f1": weighted,
            "ece": expected_calibration_error(tally[:, 2], gold == predicted),
        }
        if self._answers.unknown is None:
            return found
        return {**found, **scope_measures(gold, predicted, names, unknown=self._answers.unknown)}

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        gold, predicted = tally[:, 0].astype(np.int64), tally[:, 1].astype(np.int64)
        names = self._answers.names
        tables = {
            "per_class": per_class_table(counted(gold, predicted, len(names)), names),
            **confusion_tables(gold, predicted, names),
            **calibration_tables(tally[:, 2], gold == predicted),
        }
        # How sure it was of a wrong answer, beyond what it gave the right one.
        badness = np.array(
            [
                prediction["score"] - self._answers.chance(prediction["scores"], label)
                if prediction["label"] != label
                else 0.0
                for prediction, label in zip(predictions, columns["label"], strict=True)
            ]
        )
        badness = np.where((gold != predicted) & (badness <= 0), 1e-12, badness)
        return Scored(
            tables, badness, self._reading.shown(columns), columns["label"], [p["label"] for p in predictions]
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool(one["label"] == other["label"])


class TextPairClassification(TextClassification):
    """The same of two texts, which the model reads together, in this order."""

    name = "text-pair-classification"
    inputs = (Field("text_a", "text"), Field("text_b", "text"))

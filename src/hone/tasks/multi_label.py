"""``multi-label-classification``: any number of labels a text.

A prediction is ``{"labels", "scores", "truncated"}``: the labels whose probability reaches their threshold, every
label's probability, and whether text was cut off. Each label has a threshold of its own, tuned on validation where
there is one: a rare label is seldom given half the probability, however well the model ranks it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.metrics import multi_label as metrics
from hone.metrics.classification import precision_recall_f1
from hone.models.heads import Outputs
from hone.models.tokenizer import Tokenizer
from hone.report.report import Cell, Grid
from hone.tasks.protocol import Columns, Decision, FloatArray, Loss, LossOptions, Prediction, Says, Scored
from hone.tasks.rows import Batch, IntArray, Rows, padded
from hone.tasks.settings import MultiLabelSettings
from hone.tasks.whole_text import WholeText


class MultiLabelClassification(WholeText):
    """A set of labels a text.

    Args:
        settings: The task's settings.
        labels: Label names, in the order of the logits.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "multi-label-classification"
    targets = (Field("labels", "labels"),)
    target_type = pa.list_(pa.int32())
    says: Says = "several"
    main_measure = "micro_f1"
    measure_specs: Mapping[str, MeasureSpec] = {
        "micro_f1": MeasureSpec(),
        "macro_f1": MeasureSpec(),
        "weighted_f1": MeasureSpec(),
        "micro_f1_at_half": MeasureSpec(),
        "macro_f1_at_half": MeasureSpec(),
        "mean_average_precision": MeasureSpec(),
        "exact_match": MeasureSpec(interval="wilson"),
    }

    def __init__(
        self, settings: MultiLabelSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer, model_limit=model_limit)
        self.decision: Decision | None = None
        self._thresholds = np.full(len(labels), settings.threshold)

    @classmethod
    def weighs_labels(cls, settings: MultiLabelSettings) -> bool:
        """Always."""
        return True

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The labels a training set teaches, sorted."""
        return tuple(sorted({label for labels in columns["labels"] for label in labels}))

    def target_of(self, value: Any) -> list[int]:
        return [self._ids[label] for label in value]

    def collated(self, rows: Rows, index: IntArray) -> Tensor:
        ids, there = padded(rows, "labels", index, fill=0)
        return torch.zeros(len(index), len(self.labels)).scatter_reduce(1, ids, there.float(), "amax")

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        scores, gold = outputs["logits"].float(), batch["labels"]
        smoothed = gold * (1 - options.label_smoothing) + options.label_smoothing / 2
        each = functional.binary_cross_entropy_with_logits(scores, smoothed, reduction="none")  # [batch, labels]
        if self.settings.loss == "focal":
            missed = torch.sigmoid(torch.where(gold > 0, -scores, scores))
            each = each * missed**self.settings.focal_gamma
        weights = torch.ones_like(each[0]) if options.class_weights is None else options.class_weights
        return Loss((each @ weights).sum() / len(weights), len(each) * float(weights.mean()))

    def meaning(self, scores: FloatArray) -> FloatArray:
        chances: FloatArray = 0.5 * (1 + np.tanh(0.5 * scores))  # the sigmoid, which never overflows
        return chances

    def answer(self, values: FloatArray, *, truncated: bool) -> Prediction:
        scores = dict(zip(self.labels, values.tolist(), strict=True))
        return self.answered({"labels": [], "scores": scores, "truncated": truncated})

    def answered(self, prediction: Prediction) -> Prediction:
        said = zip(prediction["scores"].items(), self._thresholds, strict=True)
        return {**prediction, "labels": [label for (label, score), least in said if score >= least]}

    @property
    def decides(self) -> bool:
        """Always: thresholds."""
        return True

    def fit_decision(self, predictions: Sequence[Prediction], columns: Columns) -> Decision:
        """A threshold a label, the best for its F1: ``{"thresholds": {label: probability}}``."""
        scores = np.array([list(p["scores"].values()) for p in predictions]).reshape(-1, len(self.labels))
        found = metrics.tuned_thresholds(self._gold(columns), scores, fallback=self.settings.threshold)
        return {"thresholds": dict(zip(self.labels, found.tolist(), strict=True))}

    def decided(self, decision: Decision | None) -> MultiLabelClassification:
        made = copy.copy(self)
        made.decision = decision
        usual = dict.fromkeys(self.labels, self.settings.threshold)
        own = usual if decision is None else decision["thresholds"]
        made._thresholds = np.array([own[label] for label in self.labels])
        return made

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Of every label whether it is gold, whether it was said, and its score: float64 [examples, 3 * labels]."""
        said = np.zeros((len(predictions), len(self.labels)))
        for i, prediction in enumerate(predictions):
            said[i, [self._ids[label] for label in prediction["labels"]]] = 1
        scores = np.array([list(p["scores"].values()) for p in predictions]).reshape(said.shape)
        return np.concatenate([self._gold(columns), said, scores], axis=1)

    def _gold(self, columns: Columns) -> NDArray[np.bool_]:
        gold = np.zeros((len(columns["labels"]), len(self.labels)), dtype=bool)
        for i, labels in enumerate(columns["labels"]):
            gold[i, [self._ids[label] for label in labels]] = True
        return gold

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        gold, said, scores = self._parts(tally)
        return {
            **_f1s(metrics.counts(gold, said), metrics.counts(gold, scores >= 0.5)),
            "mean_average_precision": metrics.mean_average_precision(gold, scores),
            "exact_match": metrics.exact_match(gold, said),
        }

    def weighed(self, tally: FloatArray) -> Callable[[IntArray], dict[str, float | None]]:
        """See `hone.tasks.protocol.Weighing`."""
        gold, said, scores = self._parts(tally)
        chosen, at_half = metrics.weighed_counts(gold, said), metrics.weighed_counts(gold, scores >= 0.5)
        precision, right = metrics.weighed_precision(gold, scores), (gold == said).all(axis=1)

        def measures(weights: IntArray) -> dict[str, float | None]:
            taken = int(weights.sum())
            if not taken:
                return dict.fromkeys(self.measure_specs)
            return {
                **_f1s(chosen(weights), at_half(weights)),
                "mean_average_precision": precision(weights),
                "exact_match": int(weights[right].sum()) / taken,
            }

        return measures

    def _parts(self, tally: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_], FloatArray]:
        gold, said, scores = np.split(tally, 3, axis=1)
        return gold > 0, said > 0, scores

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        gold, said, scores = self._parts(self.tally(predictions, columns))
        badness = np.where(gold != said, np.maximum(np.abs(scores - self._thresholds), 1e-12), 0.0).sum(axis=1)
        return Scored(
            {"per_label": self._per_label(gold, said, scores)},
            badness,
            self._reading.shown(columns),
            [", ".join(labels) or "–" for labels in columns["labels"]],
            [", ".join(prediction["labels"]) or "–" for prediction in predictions],
        )

    def _per_label(self, gold: NDArray[np.bool_], said: NDArray[np.bool_], scores: FloatArray) -> Grid:
        hits, answered, true = metrics.counts(gold, said)
        precision, recall, f1 = precision_recall_f1(hits, answered, true)
        rows: list[list[Cell]] = [
            [
                label, float(f1[i]), float(precision[i]), float(recall[i]),
                metrics.average_precision(gold[:, i], scores[:, i]), float(self._thresholds[i]), int(true[i]),
            ]
            for i, label in enumerate(self.labels)
        ]  # fmt: skip
        columns = ["label", "f1", "precision", "recall", "average_precision", "threshold", "support"]
        return Grid(columns=columns, rows=rows, show="bars")

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool(one["labels"] == other["labels"])


def _f1s(chosen: Sequence[metrics.Counts], at_half: Sequence[metrics.Counts]) -> dict[str, float | None]:
    """F1 of the `counts` of labels by their thresholds, and of those at one half."""
    macro, micro, weighted = metrics.f1_averages(*chosen)
    macro_half, micro_half, _ = metrics.f1_averages(*at_half)
    return {
        "micro_f1": micro,
        "macro_f1": macro,
        "weighted_f1": weighted,
        "micro_f1_at_half": micro_half,
        "macro_f1_at_half": macro_half,
    }

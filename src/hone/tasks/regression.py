"""``text-regression``: a number a text; ``text-pair-regression``: one a pair (similarity).

A prediction is ``{"score", "truncated"}``. The model learns scores in standard units, so that learning rates suit
whatever scale they are on; ``center`` and ``scale`` of the settings, which the training data decides, bring them back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.metrics.regression import mean_absolute_error, pearson, root_mean_squared_error, spearman
from hone.models.heads import Outputs
from hone.models.tokenizer import Tokenizer
from hone.report.report import Cell, Grid
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Says, Scored
from hone.tasks.rows import Batch, IntArray, Rows
from hone.tasks.score_bins import score_bins
from hone.tasks.settings import TextRegressionSettings
from hone.tasks.whole_text import WholeText

LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "huber": functional.huber_loss,
    "mae": functional.l1_loss,
}
BINS = 10
SAME = 0.1  # of the training scores' standard deviation: scores that differ by less say the same


class TextRegression(WholeText):
    """A number a text.

    Args:
        settings: The task's settings.
        labels: Always the one name ``score``.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "text-regression"
    targets = (Field("score", "score"),)
    target_type = pa.float64()
    says: Says = "number"
    main_measure = "spearman"
    measure_specs: Mapping[str, MeasureSpec] = {
        "spearman": MeasureSpec(),
        "pearson": MeasureSpec(),
        "mae": MeasureSpec(unit="", better="lower"),
        "rmse": MeasureSpec(unit="", better="lower"),
    }

    def __init__(
        self, settings: TextRegressionSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer, model_limit=model_limit)
        self._center = 0.0 if settings.center is None else settings.center
        self._scale = 1.0 if settings.scale is None else settings.scale

    @classmethod
    def settled(cls, settings: TextRegressionSettings, train: Dataset) -> TextRegressionSettings:
        """``center`` and ``scale`` decided where they are not."""
        scores = train.numbers("score")
        found = {"center": float(scores.mean()), "scale": float(scores.std())}
        unset = {name: value for name, value in found.items() if getattr(settings, name) is None}
        return settings.model_copy(update=unset)

    @classmethod
    def known(cls, settings: TextRegressionSettings, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Nothing: any number may occur."""
        return {}

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The name of the model's one output."""
        return ("score",)

    def collated(self, rows: Rows, index: IntArray) -> Tensor:
        return torch.from_numpy(((rows.numbers("score")[index] - self._center) / self._scale).astype(np.float32))

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        said = outputs["logits"].float().squeeze(1)
        each = LOSSES[self.settings.loss](said, batch["score"], reduction="none")
        return Loss(each.sum(), float(len(said)))

    def answer(self, values: FloatArray, *, truncated: bool) -> Prediction:
        return {"score": float(self._center + self._scale * values[0]), "truncated": truncated}

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Gold and predicted score, float64 [examples, 2]."""
        said = [prediction["score"] for prediction in predictions]
        return np.array([columns["score"], said], dtype=np.float64).T.reshape(-1, 2)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        gold, said = tally[:, 0], tally[:, 1]
        return {
            "spearman": spearman(gold, said),
            "pearson": pearson(gold, said),
            "mae": mean_absolute_error(gold, said),
            "rmse": root_mean_squared_error(gold, said),
        }

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        off = np.abs(tally[:, 0] - tally[:, 1])
        gold, said = ([f"{value:.4g}" for value in column] for column in tally.T)
        return Scored(
            {"by_gold_score": _by_gold(tally)},
            np.where(off > SAME * self._scale, off, 0.0),
            self._reading.shown(columns),
            gold,
            said,
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return math.isclose(one["score"], other["score"], rel_tol=0.0, abs_tol=SAME * self._scale)


class TextPairRegression(TextRegression):
    """A number for two texts, which the model reads together, in this order."""

    name = "text-pair-regression"
    inputs = (Field("text_a", "text"), Field("text_b", "text"))


def _by_gold(tally: FloatArray) -> Grid:
    """What is said of examples with low, middling and high scores."""
    rows: list[list[Cell]] = [
        [reach, float(part[:, 0].mean()), float(part[:, 1].mean()), _mae(part), len(part)]
        for reach, part in score_bins(tally, bins=BINS)
    ]
    return Grid(columns=["scores", "gold_mean", "predicted_mean", "mae", "count"], rows=rows)


def _mae(part: NDArray[Any]) -> float | None:
    return mean_absolute_error(part[:, 0], part[:, 1])

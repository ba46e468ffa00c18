"""The tables of answers that are labels; those that are one each are read off a confusion matrix int64 [gold,
predicted]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import FloatArray, per_class
from hone.report.report import Cell, Grid

CONFUSED_PAIRS = 20


def per_class_table(counts: NDArray[np.int64], names: Sequence[str]) -> Grid:
    """F1, precision, recall and support of each label."""
    return label_table(names, *per_class(counts))


def label_table(
    names: Sequence[str],
    precision: FloatArray,
    recall: FloatArray,
    f1: FloatArray,
    support: NDArray[np.number],
) -> Grid:
    """F1, precision, recall and support of each of ``names``, each array [names]."""
    rows: list[list[Cell]] = [
        [name, float(f1[i]), float(precision[i]), float(recall[i]), int(support[i])] for i, name in enumerate(names)
    ]
    return Grid(columns=["label", "f1", "precision", "recall", "support"], rows=rows, show="bars")


def confusion_table(counts: NDArray[np.int64], names: Sequence[str]) -> Grid:
    """The matrix itself."""
    rows: list[list[Cell]] = [[name, *map(int, row)] for name, row in zip(names, counts, strict=True)]
    return Grid(columns=["gold", *names], rows=rows, show="matrix")


def confused_table(counts: NDArray[np.int64], names: Sequence[str]) -> Grid:
    """The pairs of labels that are most often confused."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSED_PAIRS]
    rows: list[list[Cell]] = [
        [names[g], names[p], int(wrong[g, p]), float(wrong[g, p] / counts[g].sum())]
        for g, p in (divmod(int(k), len(names)) for k in order)
        if wrong[g, p]
    ]
    return Grid(columns=["gold", "predicted", "count", "share"], rows=rows)

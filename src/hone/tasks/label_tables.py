"""The tables of answers that are labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import Counts, FloatArray, IntArray, confusion, per_class
from hone.report.report import Cell, Grid

CONFUSED_PAIRS = 20
MATRIX_LABELS = 500  # at most: the matrix of more is too large to look at, and for a report's file


def per_class_table(counts: Counts, names: Sequence[str]) -> Grid:
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


def confusion_tables(gold: IntArray, predicted: IntArray, names: Sequence[str]) -> dict[str, Grid]:
    """What was taken for what, of ids int64 [examples] among ``names``: the matrix, where there are at most
    `MATRIX_LABELS`, and the pairs that are most often confused."""
    few = len(names) <= MATRIX_LABELS
    matrix = {"confusion": confusion_table(confusion(gold, predicted, len(names)), names)} if few else {}
    return {**matrix, "most_confused": _confused_table(gold, predicted, names)}


def confusion_table(counts: IntArray, names: Sequence[str]) -> Grid:
    """A matrix int64 [gold, predicted]."""
    rows: list[list[Cell]] = [[name, *map(int, row)] for name, row in zip(names, counts, strict=True)]
    return Grid(columns=["gold", *names], rows=rows, show="matrix")


def _confused_table(gold: IntArray, predicted: IntArray, names: Sequence[str]) -> Grid:
    """The pairs of labels that are most often confused."""
    wrong, true = gold != predicted, np.bincount(gold, minlength=len(names))
    pairs, counts = np.unique((gold * len(names) + predicted)[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:CONFUSED_PAIRS]
    rows: list[list[Cell]] = []
    for pair, count in zip(pairs[order], counts[order], strict=True):
        g, p = divmod(int(pair), len(names))
        rows.append([names[g], names[p], int(count), float(count / true[g])])
    return Grid(columns=["gold", "predicted", "count", "share"], rows=rows)

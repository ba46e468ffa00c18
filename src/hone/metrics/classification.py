"""Measures of single-label classification, all of them read off three counts a class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Counts(NamedTuple):
    """Examples of each class, int64 [classes] each.

    Attributes:
        hits: Those that are of it and were said to be.
        said: Those that were said to be of it.
        true: Those that are of it.
    """

    hits: IntArray
    said: IntArray
    true: IntArray


def counted(gold: IntArray, predicted: IntArray, classes: int) -> Counts:
    """The counts of class ids, int64 [examples] each.

    Raises:
        ValueError: The two differ in length, or an id lies outside 0 to ``classes - 1``.
    """
    _require_ids(gold, predicted, classes)
    each = (gold[gold == predicted], predicted, gold)
    return Counts(*(np.bincount(ids, minlength=classes) for ids in each))


def confusion(gold: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Counts int64 [classes, classes] by (gold, predicted) from class ids, int64 [examples] each.

    Raises:
        ValueError: As of `counted`.
    """
    _require_ids(gold, predicted, classes)
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _require_ids(gold: IntArray, predicted: IntArray, classes: int) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"gold and predicted must be as long, got {len(gold)} and {len(predicted)}")
    for name, ids in (("gold", gold), ("predicted", predicted)):
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < classes:
            raise ValueError(f"{name} ids must be 0 to {classes - 1}, got {int(ids.min())} to {int(ids.max())}")


def accuracy(counts: Counts) -> float | None:
    """Share of the examples that were said to be what they are; None of no examples."""
    total = counts.true.sum()
    return float(counts.hits.sum() / total) if total else None


def per_class(counts: Counts) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Precision, recall, F1 (float64 [classes]; 0 where undefined) and support (int64 [classes])."""
    return *precision_recall_f1(*counts), counts.true


def f1_averages(counts: Counts) -> tuple[float, float, float]:
    """Macro, micro and weighted F1.

    Macro is the plain mean over the classes that occur in gold or among the predictions, as scikit-learn takes it by
    default: a class that the test data lacks and nobody predicts is left out, one that is only predicted counts as 0.
    Weighted is the mean by support. Micro equals accuracy where each example has one label.

    Raises:
        ValueError: They count no examples.
    """
    total = counts.true.sum()
    if not total:
        raise ValueError("counts of no examples have no F1")
    _, _, f1, support = per_class(counts)
    seen = (counts.said + support) > 0
    return float(f1[seen].mean()), float(counts.hits.sum() / total), float(f1 @ support / total)


def precision_recall_f1(
    hits: NDArray[np.generic], said: NDArray[np.generic], true: NDArray[np.generic]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1, float64 of the arguments' shape; 0 where undefined.

    Args:
        hits: True positives.
        said: Predicted counts.
        true: Gold counts.
    """
    hits, said, true = (np.asarray(part, dtype=np.float64) for part in (hits, said, true))
    return _ratio(hits, said), _ratio(hits, true), _ratio(2 * hits, said + true)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)

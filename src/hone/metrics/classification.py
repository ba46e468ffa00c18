"""Measures of single-label classification, all of them read off the confusion matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def confusion(gold: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Counts int64 [classes, classes] by (gold, predicted) from class ids, int64 [examples] each.

    Raises:
        ValueError: The two differ in length, or an id lies outside 0 to ``classes - 1``.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"gold and predicted must be as long, got {len(gold)} and {len(predicted)}")
    for name, ids in (("gold", gold), ("predicted", predicted)):
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < classes:
            raise ValueError(f"{name} ids must be 0 to {classes - 1}, got {int(ids.min())} to {int(ids.max())}")
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def accuracy(counts: IntArray) -> float | None:
    """Share of examples on the diagonal of a confusion matrix [classes, classes]; None of no examples."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else None


def per_class(counts: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Precision, recall, F1 (float64 [classes]; 0 where undefined) and support (int64 [classes]).

    Args:
        counts: Confusion matrix int64 [classes, classes], gold by predicted.
    """
    hits, said, true = np.diag(counts).astype(np.float64), counts.sum(axis=0), counts.sum(axis=1)
    return *precision_recall_f1(hits, said, true), true


def f1_averages(counts: IntArray) -> tuple[float, float, float]:
    """Macro, micro and weighted F1 of a confusion matrix [classes, classes].

    Macro is the plain mean over the classes that occur in gold or among the predictions, as scikit-learn takes it by
    default: a class that the test data lacks and nobody predicts is left out, one that is only predicted counts as 0.
    Weighted is the mean by support. Micro equals accuracy where each example has one label.

    Raises:
        ValueError: The matrix counts no examples.
    """
    total = counts.sum()
    if not total:
        raise ValueError("a confusion matrix of no examples has no F1")
    _, _, f1, support = per_class(counts)
    seen = (counts.sum(axis=0) + support) > 0
    return float(f1[seen].mean()), float(np.trace(counts) / total), float(f1 @ support / total)


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

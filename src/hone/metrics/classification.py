"""Measures of single-label classification, all of them read off the confusion matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def confusion(gold: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Counts int64 [gold, predicted] from class ids, int64 [examples] each."""
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def accuracy(counts: IntArray) -> float | None:
    """Share of examples on the diagonal; None of no examples."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else None


def per_class(counts: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Precision, recall, F1 (float64 [classes]; 0 where undefined) and support (int64 [classes])."""
    hits, said, true = np.diag(counts).astype(np.float64), counts.sum(axis=0), counts.sum(axis=1)
    return *precision_recall_f1(hits, said, true), true


def f1_averages(counts: IntArray) -> tuple[float, float, float]:
    """Macro, micro and weighted F1.

    The macro average is over the classes that occur in gold or predictions, as scikit-learn takes it by default.
    """
    _, _, f1, support = per_class(counts)
    seen = (counts.sum(axis=0) + support) > 0
    micro = float(np.trace(counts) / counts.sum())
    return float(f1[seen].mean()), micro, float(f1 @ support / support.sum())


def precision_recall_f1(
    hits: NDArray[np.floating], said: NDArray[np.generic], true: NDArray[np.generic]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 from true positives, predicted and gold counts; 0 where undefined."""
    said, true = np.asarray(said, dtype=np.float64), np.asarray(true, dtype=np.float64)
    precision = np.divide(hits, said, out=np.zeros_like(said), where=said > 0)
    recall = np.divide(hits, true, out=np.zeros_like(true), where=true > 0)
    both = said + true
    f1 = np.divide(2.0 * hits, both, out=np.zeros_like(both), where=both > 0)
    return precision, recall, f1

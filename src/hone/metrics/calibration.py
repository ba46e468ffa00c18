"""Expected calibration error (Guo et al. 2017), and what it would be of a perfectly calibrated model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
BINS = 15


def expected_calibration_error(confidence: FloatArray, correct: BoolArray, *, bins: int = BINS) -> float:
    """Mean distance of accuracy from confidence over equal-width bins, weighted by their counts.

    Args:
        confidence: Probability of the answer given, float64 [examples], 0 to 1. A bin holds its upper edge.
        correct: Whether it was right, bool [examples].
        bins: How many bins share the range 0 to 1.

    Raises:
        ValueError: No examples, a confidence outside 0 to 1, or lengths that differ.
    """
    place = _bins(confidence, bins)
    return _error(place, confidence, np.asarray(correct, dtype=np.float64), bins)


def calibration_gaps(confidence: FloatArray, correct: BoolArray, *, bins: int = BINS) -> FloatArray:
    """What `expected_calibration_error` sums, float64 [bins]; adds up over examples.

    The error is its absolute sum over n. Arguments and errors as of that function, but no examples give zeros.
    """
    if not len(confidence):
        return np.zeros(bins)
    return _gaps(_bins(confidence, bins), confidence, np.asarray(correct, dtype=np.float64), bins)


def reliability(confidence: FloatArray, correct: BoolArray, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each bin that holds any example, by rising confidence.

    Arguments and errors as of `expected_calibration_error`.
    """
    place = _bins(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    sure = np.bincount(place, weights=confidence, minlength=bins)
    right = np.bincount(place, weights=np.asarray(correct, dtype=np.float64), minlength=bins)
    return [(float(sure[b] / n), float(right[b] / n), int(n)) for b, n in enumerate(counts) if n]


def ece_of_perfect(
    confidence: FloatArray, *, bins: int = BINS, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Mean and interval of the error that a perfectly calibrated model with these confidences would show.

    Its answers are right with just the probabilities that it states: correctness is drawn ``draws`` times from
    Bernoulli(confidence). Sampling alone makes the error positive, the more so the fewer examples there are
    (the consistency resampling of Bröcker and Smith 2007).

    Args:
        confidence: Probability of the answer given, float64 [examples].
        bins: How many bins share the range 0 to 1.
        draws: How many data sets are drawn.
        seed: Same seed, same values.
        level: Level of the interval.

    Raises:
        ValueError: No examples, or a confidence outside 0 to 1.
    """
    place = _bins(confidence, bins)
    rng = np.random.default_rng(seed)
    errors = [
        _error(place, confidence, (rng.random(len(confidence)) < confidence).astype(np.float64), bins)
        for _ in range(draws)
    ]
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return float(np.mean(errors)), (float(low), float(high))


def _bins(confidence: FloatArray, bins: int) -> NDArray[np.int64]:
    if not len(confidence):
        raise ValueError("calibration of no examples is undefined")
    low, high = float(np.min(confidence)), float(np.max(confidence))
    if not (low >= 0 and high <= 1 + 1e-6):
        raise ValueError(f"confidence must be between 0 and 1, got {low} to {high}")
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _error(place: NDArray[np.int64], confidence: FloatArray, right: FloatArray, bins: int) -> float:
    return float(np.abs(_gaps(place, confidence, right, bins)).sum() / len(confidence))


def _gaps(place: NDArray[np.int64], confidence: FloatArray, right: FloatArray, bins: int) -> FloatArray:
    """Accuracy less confidence, times the count, of each bin: float64 [bins]."""
    return np.bincount(place, weights=right - confidence, minlength=bins).astype(np.float64)

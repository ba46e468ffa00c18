"""Expected calibration error (Guo et al. 2017), and what it would be of a perfectly calibrated model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BINS = 15


def expected_calibration_error(confidence: FloatArray, correct: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Mean distance of accuracy from confidence over equal-width bins, weighted by their counts.

    Args:
        confidence: Probability of the answer given, float64 [examples], 0 to 1.
        correct: Whether it was right, bool [examples].
    """
    return float(np.abs(_gaps(confidence, np.asarray(correct, dtype=np.float64), bins)).sum() / len(confidence))


def reliability(
    confidence: FloatArray, correct: NDArray[np.bool_], *, bins: int = BINS
) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each bin that holds any example."""
    place = _bins(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    sure = np.bincount(place, weights=confidence, minlength=bins)
    right = np.bincount(place, weights=np.asarray(correct, dtype=np.float64), minlength=bins)
    return [(float(sure[b] / n), float(right[b] / n), int(n)) for b, n in enumerate(counts) if n]


def ece_of_perfect(
    confidence: FloatArray, *, bins: int = BINS, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Mean and interval of the error that a perfectly calibrated model with these confidences would show.

    Its answers are right with just the probabilities it states: drawn ``draws`` times. Sampling alone makes the error
    positive, the more so the fewer examples there are.
    """
    rng = np.random.default_rng(seed)
    errors = np.array(
        [
            np.abs(_gaps(confidence, (rng.random(len(confidence)) < confidence).astype(np.float64), bins)).sum()
            for _ in range(draws)
        ]
    ) / len(confidence)
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    return float(errors.mean()), (float(low), float(high))


def _bins(confidence: FloatArray, bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _gaps(confidence: FloatArray, right: FloatArray, bins: int) -> FloatArray:
    return np.bincount(_bins(confidence, bins), weights=right - confidence, minlength=bins)

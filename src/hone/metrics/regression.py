"""Measures of predicted numbers against gold ones: how far off they are, and whether they rise together."""

from __future__ import annotations

import math

import numpy as np

from hone.metrics.classification import FloatArray


def mean_absolute_error(gold: FloatArray, predicted: FloatArray) -> float | None:
    """Mean distance of the predicted from the gold number, in their unit; None of no examples.

    Args:
        gold, predicted: Numbers, float64 [examples] each.

    Raises:
        ValueError: The two differ in length, have more than one axis, or hold a number that is not finite.
    """
    gold, predicted = _checked(gold, predicted)
    return float(np.abs(predicted - gold).mean()) if len(gold) else None


def root_mean_squared_error(gold: FloatArray, predicted: FloatArray) -> float | None:
    """Square root of the mean squared difference, in the numbers' unit; None of no examples.

    Arguments and errors as of `mean_absolute_error`, which one far miss moves less.
    """
    gold, predicted = _checked(gold, predicted)
    return math.sqrt(np.square(predicted - gold).mean()) if len(gold) else None


def pearson(gold: FloatArray, predicted: FloatArray) -> float | None:
    """Pearson's correlation coefficient (Pearson 1895), -1 to 1: whether the numbers lie on one line.

    A large common offset costs no precision beyond what the numbers themselves have lost to it.

    Arguments and errors as of `mean_absolute_error`.

    Returns:
        The coefficient; None where it is undefined: fewer than two examples, or all numbers of one side equal.
    """
    gold, predicted = _checked(gold, predicted)
    # Asked of the numbers, not of their variance: the mean of equal numbers is rounded, and they seem to differ from it
    if len(gold) < 2 or np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return None
    left, right = _centered(gold), _centered(predicted)
    together = float(left @ right) / (math.sqrt(left @ left) * math.sqrt(right @ right))
    return min(1.0, max(-1.0, together))


def spearman(gold: FloatArray, predicted: FloatArray) -> float | None:
    """Spearman's rank correlation (Spearman 1904), -1 to 1: whether the order is right, whatever the scale.

    It is `pearson` of the ranks, where equal numbers share the average of their ranks. Arguments, errors and where it
    is None as of that function.
    """
    gold, predicted = _checked(gold, predicted)
    return pearson(_ranks(gold), _ranks(predicted))


def _checked(gold: FloatArray, predicted: FloatArray) -> tuple[FloatArray, FloatArray]:
    gold, predicted = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if gold.ndim != 1 or gold.shape != predicted.shape:
        raise ValueError(f"gold and predicted must be [examples] each, got {gold.shape} and {predicted.shape}")
    for name, numbers in (("gold", gold), ("predicted", predicted)):
        finite = np.isfinite(numbers)
        if not finite.all():
            raise ValueError(f"{name} numbers must be finite, got {numbers[~finite][0]}")
    return gold, predicted


def _centered(values: FloatArray) -> FloatArray:
    """Values less their mean, scaled to a largest distance of 1; float64 [examples], not all equal."""
    centered: FloatArray = values - values.mean()
    centered -= centered.mean()  # beside a large offset the first mean was rounded by as much as the values differ
    centered /= np.abs(centered).max()  # or the squares of small values would vanish
    return centered


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, float64 [examples]; equal values share the average of theirs."""
    order = np.argsort(values)
    ranked = values[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(values)])  # of each distinct value
    count = np.diff(first, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (count + 1) / 2, count)
    return ranks

"""Measures of label sets: each example has any number of labels, and each label is a decision of its own.

A label is predicted where its score reaches the label's threshold: ``score >= threshold``, compared in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import FloatArray, IntArray, precision_recall_f1

BoolArray = NDArray[np.bool_]
Counts = FloatArray | IntArray


def counts(gold: BoolArray, predicted: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """True positives, predicted counts and gold counts of each label, int64 [labels] each; they add up over examples.

    Args:
        gold, predicted: Which labels each example has, bool [examples, labels] each.

    Raises:
        ValueError: The two differ in shape, or one is not bool.
    """
    _check_sets(gold, predicted)
    return (gold & predicted).sum(axis=0), predicted.sum(axis=0), gold.sum(axis=0)


def f1_averages(hits: Counts, said: Counts, true: Counts) -> tuple[float, float, float]:
    """Macro, micro and weighted F1 of the `counts` of each label, [labels] each; 0 where undefined.

    Macro is the plain mean over the labels that occur in gold or among the predictions, as in
    `hone.metrics.classification.f1_averages`. scikit-learn, given label sets, counts a label that occurs in neither
    as 0 and so gives less, unless its ``labels`` name those that occur. Micro is of the counts of all labels together.
    Weighted is the mean by gold count.
    """
    hits, said, true = (np.asarray(part, dtype=np.float64) for part in (hits, said, true))
    _, _, f1 = precision_recall_f1(hits, said, true)
    _, _, micro = precision_recall_f1(hits.sum(), said.sum(), true.sum())
    seen = (said + true) > 0
    macro = float(f1[seen].mean()) if seen.any() else 0.0
    return macro, float(micro), float(f1 @ true / true.sum()) if true.sum() else 0.0


def exact_match(gold: BoolArray, predicted: BoolArray) -> float | None:
    """Share of examples whose whole set is right, the empty one too; None of no examples.

    Arguments and errors as of `counts`.
    """
    _check_sets(gold, predicted)
    return float((gold == predicted).all(axis=1).mean()) if len(gold) else None


def average_precision(gold: BoolArray, scores: FloatArray) -> float | None:
    """Area under the precision-recall curve as a step function, 0 to 1; None where no example is gold.

    Precision at each distinct score, weighted by the recall gained there, with no interpolation, as scikit-learn's
    ``average_precision_score``. Examples of one score are predicted together, so their order does not matter.

    Args:
        gold: Whether each example has the label, bool [examples].
        scores: The label's scores, float64 [examples]; only their order counts.

    Raises:
        ValueError: The two differ in shape, ``gold`` is not bool, or a score is not finite.
    """
    _check_scores(gold, scores, axes=1)
    ranked, found = np.sort(scores), np.sort(scores[gold])
    if not len(found):
        return None
    # Each gold example gains the same recall: what is left is the mean of the precision at their scores
    said, hits = _reached(ranked, found), _reached(found, found)
    return float((hits / said).mean())


def mean_average_precision(gold: BoolArray, scores: FloatArray) -> float | None:
    """Plain mean of `average_precision` over the labels that any example has; None where no label is had.

    Args:
        gold: Which labels each example has, bool [examples, labels].
        scores: Their scores, float64 [examples, labels].

    Raises:
        ValueError: The two differ in shape, ``gold`` is not bool, or a score is not finite.
    """
    _check_scores(gold, scores, axes=2)
    known = [average_precision(gold[:, label], scores[:, label]) for label in np.flatnonzero(gold.any(axis=0))]
    return float(np.mean([value for value in known if value is not None])) if known else None


def weighed_counts(gold: BoolArray, predicted: BoolArray) -> Callable[[IntArray], tuple[Counts, ...]]:
    """`counts` of the examples each taken so many times, for any such weights, int64 [examples]: float64 [labels] each.
    What stands in the sets is looked for once.

    Arguments and errors as of `counts`.
    """
    _check_sets(gold, predicted)
    there = [np.nonzero(part) for part in (gold & predicted, predicted, gold)]
    labels = gold.shape[1]

    def counted(weights: IntArray) -> tuple[Counts, ...]:
        return tuple(np.bincount(label, weights[example], minlength=labels) for example, label in there)

    return counted


def weighed_precision(gold: BoolArray, scores: FloatArray) -> Callable[[IntArray], float | None]:
    """`mean_average_precision` of the examples each taken so many times, for any such weights, int64 [examples]. Each
    label's scores are sorted once.

    Arguments and errors as of `mean_average_precision`.
    """
    _check_scores(gold, scores, axes=2)
    ranked = [_Ranked(gold[:, label], scores[:, label]) for label in np.flatnonzero(gold.any(axis=0))]

    def mean(weights: IntArray) -> float | None:
        known = [value for one in ranked if (value := one.precision(weights)) is not None]
        return float(np.mean(known)) if known else None

    return mean


class _Ranked:
    """Examples of one label in the order of their scores, the highest first; ``gold`` has some."""

    def __init__(self, gold: BoolArray, scores: FloatArray) -> None:
        order = np.argsort(-scores, kind="stable")
        rising, true = -scores[order], np.flatnonzero(gold[order])
        found = rising[true]
        self._said = np.searchsorted(rising, found, side="right") - 1  # the last example that each one's score reaches
        self._hits = np.searchsorted(found, found, side="right") - 1  # and the last gold one
        self._order, self._gold = order[: self._said[-1] + 1], order[true]  # the examples that count, and the gold ones

    def precision(self, weights: IntArray) -> float | None:
        """`average_precision` of the examples each taken so many times; None where no gold one is taken."""
        own = weights[self._gold]
        hits = own.cumsum()
        if not hits[-1]:
            return None
        said = weights[self._order].cumsum()[self._said]
        return float(own @ (hits[self._hits] / np.maximum(said, 1)) / hits[-1])  # said is 0 where own is


def tuned_thresholds(gold: BoolArray, scores: FloatArray, *, fallback: float = 0.5, fewest: int = 5) -> FloatArray:
    """The threshold of each label that maximizes its F1 on these examples, float64 [labels].

    ``scores >= thresholds`` in float64 reaches the maximum exactly; float32 may round a threshold onto a score that
    it lies above. It is the best for these examples and flatters them: measure it on others.

    Args:
        gold: Which labels each example has, bool [examples, labels].
        scores: Their scores, float64 [examples, labels], 0 to 1.
        fallback: Threshold of a label that too few examples have, 0 to 1. Of equally good thresholds the one nearest
            to it is taken, the lower of two as near.
        fewest: How many gold examples a label needs. F1 over fewer says little: each of them moves it so far that
            the best threshold is that of a few chance scores.

    Returns:
        Midpoints between neighboring distinct scores of a label (0 is the neighbor of the lowest; the higher score
        itself where no float lies between the two), or ``fallback``.

    Raises:
        ValueError: The two differ in shape, ``gold`` is not bool, or a score or ``fallback`` lies outside 0 to 1.
    """
    _check_scores(gold, scores, axes=2)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"scores must be between 0 and 1, got {scores.min()} to {scores.max()}")
    if not 0 <= fallback <= 1:
        raise ValueError(f"fallback must be between 0 and 1, got {fallback}")
    thresholds = np.full(gold.shape[1], fallback, dtype=np.float64)
    for label in np.flatnonzero(gold.sum(axis=0) >= max(fewest, 1)):
        thresholds[label] = _best(gold[:, label], scores[:, label], fallback)
    return thresholds


def _best(gold: BoolArray, scores: FloatArray, fallback: float) -> float:
    """Threshold of most F1 for one label that some example has: gold bool [examples], scores float64 [examples]."""
    ranked, found = np.sort(scores), np.sort(scores[gold])
    # The lowest score predicted is a gold example's: to predict one more without a hit only lowers F1
    lowest = np.unique(found)
    said, hits = _reached(ranked, lowest), _reached(found, lowest)
    _, _, f1 = precision_recall_f1(hits, said, np.full_like(hits, len(found)))
    best = f1 == f1.max()  # exact: quotients of whole numbers that are equal are rounded to the same float
    above, place = lowest[best], len(ranked) - said[best]
    below = np.where(place > 0, ranked[place - 1], 0.0)
    middle = below + (above - below) / 2
    # Between two floats in a row there is none: a midpoint rounded down would predict the lower one too
    middle = np.where(middle > below, middle, above)
    return float(middle[np.argmin(np.abs(middle - fallback))])


def _reached(ranked: FloatArray, thresholds: FloatArray) -> IntArray:
    """How many of the scores, sorted up, reach each threshold: int64 of the thresholds' shape."""
    return len(ranked) - np.searchsorted(ranked, thresholds)


def _check_sets(gold: BoolArray, predicted: BoolArray) -> None:
    if gold.ndim != 2 or gold.shape != predicted.shape:
        raise ValueError(f"gold and predicted must be [examples, labels] each, got {gold.shape} and {predicted.shape}")
    for name, sets in (("gold", gold), ("predicted", predicted)):
        _check_bool(name, sets)


def _check_scores(gold: BoolArray, scores: FloatArray, *, axes: int) -> None:
    if gold.ndim != axes or gold.shape != scores.shape:
        shape = "[examples, labels]" if axes == 2 else "[examples]"
        raise ValueError(f"gold and scores must be {shape} each, got {gold.shape} and {scores.shape}")
    _check_bool("gold", gold)
    finite = np.isfinite(scores)
    if not finite.all():
        raise ValueError(f"scores must be finite, got {scores[~finite][0]}")


def _check_bool(name: str, sets: BoolArray) -> None:
    if sets.dtype != np.bool_:  # 0 and 1 would be read as places of an array, scores as labels that are all had
        raise ValueError(f"{name} must be bool, got {sets.dtype}")

"""Measures of label sets counted by hand, and thresholds against every threshold there is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hone.metrics.multi_label import (
    average_precision,
    counts,
    exact_match,
    f1_averages,
    mean_average_precision,
    tuned_thresholds,
    weighed_counts,
    weighed_precision,
)

GOLD = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
PREDICTED = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=bool)


def f1(gold: np.ndarray, predicted: np.ndarray) -> float:
    return 2 * int((gold & predicted).sum()) / max(1, int(gold.sum()) + int(predicted.sum()))


def cuts(scores: np.ndarray) -> list[float]:
    """Every threshold that parts the scores of one label otherwise: midpoints of neighbors, and half the lowest."""
    distinct = sorted(set(scores.tolist()))
    return [(low + high) / 2 for low, high in zip([0.0, *distinct], distinct, strict=False)]


def test_counts_are_by_label() -> None:
    hits, said, true = counts(GOLD, PREDICTED)
    assert (hits.tolist(), said.tolist(), true.tolist()) == ([1, 2, 0, 0], [1, 2, 0, 2], [2, 2, 0, 0])
    assert {part.dtype for part in (hits, said, true)} == {np.dtype(np.int64)}


def test_macro_f1_leaves_out_a_label_that_never_occurs() -> None:
    macro, micro, weighted = f1_averages(*counts(GOLD, PREDICTED))
    assert macro == pytest.approx((2 / 3 + 1 + 0) / 3)  # label 3 is predicted, label 2 occurs nowhere
    assert micro == pytest.approx(2 * 3 / (4 + 5))
    assert weighted == pytest.approx((2 * 2 / 3 + 2 * 1) / 4)


def test_averages_of_resampled_counts_are_those_of_the_copied_examples() -> None:
    weights = np.array([3.0, 0.0, 2.0, 1.0])
    resampled = [weights @ part for part in (GOLD & PREDICTED, PREDICTED, GOLD)]
    copies = np.repeat(np.arange(4), weights.astype(int))
    assert f1_averages(*resampled) == pytest.approx(f1_averages(*counts(GOLD[copies], PREDICTED[copies])))


@pytest.mark.parametrize("digits", [1, 9])  # many equal scores, and none
def test_by_weights_everything_is_as_of_the_copied_examples(digits: int) -> None:
    rng = np.random.default_rng(digits)
    gold, scores = rng.random((60, 5)) < [0.3, 0.9, 0.02, 0.5, 0.0], rng.random((60, 5)).round(digits)
    counted, precision = weighed_counts(gold, scores >= 0.5), weighed_precision(gold, scores)
    for _ in range(30):
        drawn = rng.integers(0, 60, 40)
        weights = np.bincount(drawn, minlength=60)
        for part, expected in zip(counted(weights), counts(gold[drawn], scores[drawn] >= 0.5), strict=True):
            assert part.tolist() == expected.tolist()
        assert precision(weights) == pytest.approx(mean_average_precision(gold[drawn], scores[drawn]), abs=1e-12)
    assert precision(np.zeros(60, dtype=np.int64)) is None


def test_averages_are_zero_where_nothing_occurs_or_nothing_is_gold() -> None:
    nothing = np.zeros((3, 2), dtype=bool)
    assert f1_averages(*counts(nothing, nothing)) == (0.0, 0.0, 0.0)
    assert f1_averages(*counts(nothing, ~nothing)) == (0.0, 0.0, 0.0)


def test_exact_match_needs_the_whole_set_and_the_empty_set_counts() -> None:
    assert exact_match(GOLD, PREDICTED) == 2 / 4
    assert exact_match(GOLD[3:], GOLD[3:]) == 1.0
    assert exact_match(GOLD[:0], PREDICTED[:0]) is None


def test_average_precision_is_the_mean_precision_where_a_gold_example_is_found() -> None:
    gold = np.array([False, True, False, True, True])
    assert average_precision(gold, np.array([0.9, 0.8, 0.4, 0.3, 0.1])) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 3)
    assert average_precision(gold, np.array([0.1, 0.8, 0.2, 0.9, 0.3])) == 1.0


def test_examples_of_one_score_are_found_together() -> None:
    gold, scores = np.array([True, False, False, True, True, False]), np.array([0.7, 0.7, 0.7, 0.7, 0.2, 0.1])
    expected = (2 * 2 / 4 + 3 / 5) / 3
    for order in (np.arange(6), np.arange(6)[::-1], np.array([1, 2, 3, 0, 5, 4])):
        assert average_precision(gold[order], scores[order]) == pytest.approx(expected)
    assert average_precision(gold, np.zeros(6)) == gold.mean()


def test_average_precision_needs_a_gold_example() -> None:
    assert average_precision(np.zeros(4, dtype=bool), np.linspace(0, 1, 4)) is None
    assert average_precision(np.zeros(0, dtype=bool), np.zeros(0)) is None


def test_the_mean_is_over_the_labels_that_any_example_has() -> None:
    scores = np.random.default_rng(1).random(GOLD.shape)
    each = [average_precision(GOLD[:, label], scores[:, label]) for label in (0, 1)]
    assert mean_average_precision(GOLD, scores) == pytest.approx(sum(each) / 2)
    assert mean_average_precision(GOLD[:, 2:], scores[:, 2:]) is None
    assert mean_average_precision(GOLD[:0], scores[:0]) is None


@pytest.mark.parametrize("seed", range(40))
def test_a_tuned_threshold_is_the_best_that_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, fallback = int(rng.integers(1, 25)), float(rng.choice([0.0, 0.3, 0.5, 1.0]))
    levels = int(rng.choice([2, 5, 1000]))
    scores = rng.integers(0, levels + 1, (n, 6)) / levels
    gold = rng.random((n, 6)) < rng.choice([0.2, 0.5, 0.9])
    thresholds = tuned_thresholds(gold, scores, fallback=fallback, fewest=1)
    for label, threshold in enumerate(thresholds.tolist()):
        true, score = gold[:, label], scores[:, label]
        if not true.any():
            assert threshold == fallback
            continue
        reached = {cut: f1(true, score >= cut) for cut in cuts(score)}
        most = max(reached.values())
        assert f1(true, score >= threshold) == most
        nearest = min(abs(cut - fallback) for cut, value in reached.items() if value == most)
        assert abs(threshold - fallback) == pytest.approx(nearest, abs=1e-15)
        assert min(abs(cut - threshold) for cut in reached) < 1e-15


def test_a_threshold_lies_midway_between_the_scores_that_it_parts() -> None:
    gold = np.array([[False], [False], [True], [True]])
    assert tuned_thresholds(gold, np.array([[0.1], [0.2], [0.6], [0.9]]), fewest=1).tolist() == pytest.approx([0.4])
    assert tuned_thresholds(~gold[:2], np.array([[0.3], [0.2]]), fewest=1).tolist() == [0.1]  # 0 is below the lowest


def test_of_equally_good_thresholds_the_one_nearest_to_the_fallback_is_taken() -> None:
    # F1 is 2/3 both of the first alone (1 of 2 found, 1 predicted) and of the first four (2 found of 2, 4 predicted)
    gold, scores = np.array([[True], [False], [False], [True]]), np.array([[0.9], [0.7], [0.5], [0.3]])
    assert tuned_thresholds(gold, scores, fallback=0.7, fewest=1).tolist() == pytest.approx([0.8])
    assert tuned_thresholds(gold, scores, fallback=0.3, fewest=1).tolist() == pytest.approx([0.15])


def test_a_label_of_few_gold_examples_keeps_the_fallback() -> None:
    gold = np.zeros((20, 3), dtype=bool)
    gold[:4, 0] = gold[:5, 1] = True
    scores = np.tile(np.where(np.arange(20) < 5, 0.3, 0.1)[:, None], 3)
    assert tuned_thresholds(gold, scores).tolist() == pytest.approx([0.5, 0.2, 0.5])
    assert tuned_thresholds(gold, scores, fallback=0.4, fewest=4).tolist() == pytest.approx([0.2, 0.2, 0.4])
    assert tuned_thresholds(gold, scores, fewest=0)[2] == 0.5
    assert tuned_thresholds(gold[:0], scores[:0]).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [0.0, 1e-45, 0.25, 0.7, 0.9])
def test_scores_in_a_row_are_parted_all_the_same(start: float, dtype: type) -> None:
    row = [dtype(start)]
    while len(row) < 7:
        row.append(np.nextafter(row[-1], dtype(1)))
    scores = np.repeat(np.array(row), 2)[:, None]
    for first in range(14):  # every second midpoint of float64 scores is rounded to the lower
        gold = (np.arange(14) >= first)[:, None]
        [threshold] = tuned_thresholds(gold, scores, fewest=1)
        said = scores.astype(np.float64) >= threshold
        assert (said[:, 0] == (np.arange(14) >= first - first % 2)).all()  # with the one that shares the score


def test_scores_of_float32_in_a_row_have_a_midpoint_of_float64() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    [threshold] = tuned_thresholds(np.array([[False], [True]]), np.array([[low], [high]]), fewest=1)
    assert float(low) < threshold < float(high)


def test_extremes_of_the_range_have_thresholds() -> None:
    gold = np.array([[True], [True], [False]])
    assert tuned_thresholds(gold, np.zeros((3, 1)), fewest=1).tolist() == [0.0]
    assert tuned_thresholds(gold, np.ones((3, 1)), fewest=1).tolist() == [0.5]
    tiny = np.full((3, 1), 5e-324)
    assert (tiny >= tuned_thresholds(gold, tiny, fewest=1)).all()


@pytest.mark.parametrize("measured", [counts, exact_match])
def test_sets_that_do_not_fit_are_refused(measured: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"must be \[examples, labels\] each, got \(4, 4\) and \(4, 3\)"):
        measured(GOLD, PREDICTED[:, :3])
    with pytest.raises(ValueError, match="predicted must be bool, got float64"):
        measured(GOLD, PREDICTED * 0.5)
    with pytest.raises(ValueError, match="gold must be bool, got int64"):
        measured(GOLD.astype(np.int64), PREDICTED)
    with pytest.raises(ValueError, match="must be"):
        measured(GOLD[0], PREDICTED[0])


@pytest.mark.parametrize("measured", [mean_average_precision, tuned_thresholds])
def test_scores_that_do_not_fit_are_refused(measured: Callable[..., object]) -> None:
    scores = np.full(GOLD.shape, 0.5)
    with pytest.raises(ValueError, match=r"must be \[examples, labels\] each"):
        measured(GOLD, scores[:3])
    with pytest.raises(ValueError, match="gold must be bool"):
        measured(GOLD * 1.0, scores)
    scores[2, 1] = np.nan
    with pytest.raises(ValueError, match="scores must be finite, got nan"):
        measured(GOLD, scores)


def test_one_label_with_scores_that_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \[examples\] each"):
        average_precision(GOLD, np.zeros(GOLD.shape))
    with pytest.raises(ValueError, match="gold must be bool"):
        average_precision(np.array([0, 1]), np.array([0.1, 0.2]))


@pytest.mark.parametrize("score", [-0.01, 1.01])
def test_thresholds_are_of_scores_from_zero_to_one(score: float) -> None:
    with pytest.raises(ValueError, match="scores must be between 0 and 1"):
        tuned_thresholds(GOLD, np.full(GOLD.shape, score))
    with pytest.raises(ValueError, match="fallback must be between 0 and 1"):
        tuned_thresholds(GOLD, np.full(GOLD.shape, 0.5), fallback=score)

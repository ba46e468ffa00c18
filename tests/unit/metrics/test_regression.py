"""Measures of numbers on cases with a known answer, and where arithmetic is easily lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hone.metrics.regression import mean_absolute_error, pearson, root_mean_squared_error, spearman

Measured = Callable[[np.ndarray, np.ndarray], "float | None"]
ERRORS, CORRELATIONS = (mean_absolute_error, root_mean_squared_error), (pearson, spearman)


def integers(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated whole numbers, which a large whole offset leaves exact."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 20, n).astype(np.float64)
    return gold, gold + rng.integers(-9, 10, n)


def test_errors_are_means_of_the_differences() -> None:
    gold, predicted = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 3.0, 8.0])
    assert mean_absolute_error(gold, predicted) == pytest.approx(6 / 4)
    assert root_mean_squared_error(gold, predicted) == pytest.approx((20 / 4) ** 0.5)


def test_pearson_of_four_points_is_as_counted_by_hand() -> None:
    # Centered: -3 -1 1 3 and -2 0 -1 3; products 6 + 0 - 1 + 9, squares 20 and 14
    gold, predicted = np.array([0.0, 2.0, 4.0, 6.0]), np.array([1.0, 3.0, 2.0, 6.0])
    assert pearson(gold, predicted) == pytest.approx(14 / (20 * 14) ** 0.5)


def test_spearman_without_ties_is_the_formula_of_1904() -> None:
    gold, predicted = np.array([10.0, 20.0, 30.0, 40.0, 50.0]), np.array([0.2, 0.1, 0.9, 7.0, 0.3])
    squares = (1 - 2) ** 2 + (2 - 1) ** 2 + (3 - 4) ** 2 + (4 - 5) ** 2 + (5 - 3) ** 2
    assert spearman(gold, predicted) == pytest.approx(1 - 6 * squares / (5 * 24))


def test_equal_numbers_share_the_average_of_their_ranks() -> None:
    ranks = np.array([1.5, 1.5, 3.0, 5.0, 5.0, 5.0])
    order = np.array([3, 0, 5, 2, 1, 4])
    gold, predicted = np.array([0.0, -0.0, 7.0, 9.0, 9.0, 9.0]), np.array([4.0, 1.0, 3.0, 6.0, 2.0, 5.0])
    assert spearman(gold[order], predicted[order]) == pytest.approx(pearson(ranks, predicted))


def test_spearman_sees_the_order_and_pearson_the_line() -> None:
    gold = np.linspace(-2, 3, 50)
    assert spearman(gold, np.exp(3 * gold)) == pytest.approx(1.0)
    assert spearman(gold, -np.exp(3 * gold)) == pytest.approx(-1.0)
    assert pearson(gold, np.exp(3 * gold)) < 0.8
    assert pearson(gold, 3 - 2 * gold) == pytest.approx(-1.0)


@pytest.mark.parametrize("offset", [1e8, -1e12, 1e15])
def test_a_large_offset_does_not_spoil_pearson(offset: float) -> None:
    gold, predicted = integers(9_999)
    assert pearson(gold + offset, predicted + offset) == pytest.approx(pearson(gold, predicted), abs=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_no_scale_makes_the_squares_vanish_or_overflow(scale: float) -> None:
    gold, predicted = integers(50)
    assert pearson(gold * scale, predicted) == pytest.approx(pearson(gold, predicted), abs=1e-12)
    assert pearson(gold, predicted * scale) == pytest.approx(pearson(gold, predicted), abs=1e-12)


def test_correlations_never_leave_their_range() -> None:
    for seed in range(300):
        gold = np.random.default_rng(seed).normal(size=7)
        for sign in (1, -1):
            assert -1.0 <= pearson(gold, sign * 3 * gold) <= 1.0


@pytest.mark.parametrize("measured", CORRELATIONS)
@pytest.mark.parametrize("same", [0.0, 0.1, 1e8 + 0.1, -1e-300])
@pytest.mark.parametrize("n", [2, 3, 11, 1000])
def test_numbers_that_are_all_equal_correlate_with_nothing(measured: Measured, same: float, n: int) -> None:
    rising = np.arange(n, dtype=np.float64)
    assert measured(np.full(n, same), rising) is None
    assert measured(rising, np.full(n, same)) is None


@pytest.mark.parametrize("measured", CORRELATIONS)
def test_numbers_one_rounding_apart_still_correlate(measured: Measured) -> None:
    gold = np.array([1.0, 1.0, np.nextafter(1.0, 2.0)])
    assert measured(gold, np.array([4.0, 4.0, 5.0])) == pytest.approx(1.0)


@pytest.mark.parametrize("measured", CORRELATIONS)
def test_one_example_or_none_has_no_correlation(measured: Measured) -> None:
    assert measured(np.ones(1), np.zeros(1)) is None
    assert measured(np.zeros(0), np.zeros(0)) is None


@pytest.mark.parametrize("measured", CORRELATIONS)
def test_two_examples_correlate_fully(measured: Measured) -> None:
    assert measured(np.array([1.0, 4.0]), np.array([0.2, 0.3])) == pytest.approx(1.0)
    assert measured(np.array([4.0, 1.0]), np.array([0.2, 0.3])) == pytest.approx(-1.0)


@pytest.mark.parametrize("measured", ERRORS)
def test_one_example_has_an_error_and_none_has_not(measured: Measured) -> None:
    assert measured(np.ones(1), np.array([-2.0])) == 3.0
    assert measured(np.zeros(0), np.zeros(0)) is None


def test_float32_numbers_are_measured_in_float64() -> None:
    gold, predicted = (part.astype(np.float32) + np.float32(2**20) for part in integers(500))
    assert pearson(gold, predicted) == pearson(gold.astype(np.float64), predicted.astype(np.float64))
    assert root_mean_squared_error(np.full(3, 3e30, np.float32), np.zeros(3, np.float32)) == pytest.approx(3e30)


@pytest.mark.parametrize("measured", ERRORS + CORRELATIONS)
def test_what_does_not_fit_is_refused(measured: Measured) -> None:
    with pytest.raises(ValueError, match=r"must be \[examples\] each, got \(3,\) and \(1,\)"):
        measured(np.arange(3.0), np.zeros(1))
    with pytest.raises(ValueError, match="must be"):
        measured(np.zeros((3, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="predicted numbers must be finite, got nan"):
        measured(np.arange(3.0), np.array([0.0, np.nan, 1.0]))
    with pytest.raises(ValueError, match="gold numbers must be finite, got -inf"):
        measured(np.array([0.0, -np.inf, 1.0]), np.arange(3.0))

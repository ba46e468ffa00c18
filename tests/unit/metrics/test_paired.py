"""What one has over the other: intervals that cover, tests that agree with the exact one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from hone.metrics.paired import Difference, Tallied, differences

FloatArray = NDArray[np.float64]


def share(tally: FloatArray) -> dict[str, float | None]:
    right, count = tally.sum(0)
    return {"accuracy": float(right / count)}


def answers(right: NDArray[np.bool_]) -> Tallied:
    return Tallied(np.column_stack([right, np.ones(len(right))]).astype(np.float64), share)


def of_counts(*, both: int, first: int, second: int, neither: int) -> tuple[Tallied, Tallied]:
    """Answers of which so many are right by both, by the first alone, by the second alone, by neither."""
    counts = [both, first, second, neither]
    return (
        answers(np.repeat([True, True, False, False], counts)),
        answers(np.repeat([True, False, True, False], counts)),
    )


@pytest.mark.parametrize("additive", [True, False])
@pytest.mark.parametrize(("first", "second"), [(3, 9), (5, 5), (0, 6), (40, 62)])
def test_the_test_of_a_share_is_mcnemars_exact_one(first: int, second: int, additive: bool) -> None:
    given = of_counts(both=100, first=first, second=second, neither=30)
    found = differences(*given, additive=additive, resamples=2000)["accuracy"]
    exact = binomtest(first, first + second).pvalue
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 2000) + 1e-3)
    assert found.value == pytest.approx((second - first) / (130 + first + second))


@pytest.mark.parametrize("scale", [1e-13, 1.0, 1e6])
def test_five_of_five_are_not_sure_in_whatever_unit(scale: float) -> None:
    """Of 32 exchanges that of none and that of all leave the difference as large, but for rounding."""

    def mean(tally: FloatArray) -> dict[str, float | None]:
        total, count = tally.sum(0)
        return {"mean": float(total / count)}

    rng = np.random.default_rng(7)
    less = rng.random(5)
    one, other = (Tallied(np.column_stack([scale * values, np.ones(5)]), mean)
                  for values in (less, less + 0.1 + rng.random(5)))  # fmt: skip
    found = differences(one, other, additive=True, resamples=4000)["mean"]
    assert found.p == pytest.approx(2 / 32, abs=0.015)


def test_the_interval_is_that_of_paired_shares() -> None:
    given = of_counts(both=500, first=40, second=90, neither=370)
    found = differences(*given, additive=True, resamples=4000)["accuracy"]
    middle, spread = 0.05, 1.96 * np.sqrt(((40 + 90) / 1000 - 0.05**2) / 1000)
    assert (found.low, found.high) == pytest.approx((middle - spread, middle + spread), abs=2e-3)


def test_an_interval_holds_its_own_value() -> None:
    def distinct(tally: FloatArray) -> dict[str, float | None]:
        return {"distinct": float(len(np.unique(tally[:, 0])))}  # of rows drawn twice there are fewer

    one, other = (Tallied(np.column_stack([values, np.ones(40)]), distinct)
                  for values in (np.arange(40) % 3, np.arange(40)))  # fmt: skip
    found = differences(one, other, additive=False, resamples=200)["distinct"]
    assert (found.value, found.high) == (37.0, 37.0)


def test_pairing_finds_what_two_intervals_would_not() -> None:
    given = of_counts(both=500, first=5, second=25, neither=470)
    found = differences(*given, additive=True)["accuracy"]
    assert found.low is not None
    assert found.low > 0
    assert found.p is not None
    assert found.p < 0.01


def test_of_equal_ways_one_in_twenty_is_told_apart() -> None:
    rng = np.random.default_rng(0)
    told = 0
    for seed in range(200):
        hard = rng.random(150)
        found = differences(answers(rng.random(150) > hard), answers(rng.random(150) > hard), additive=True,
                            resamples=200, seed=seed)["accuracy"]  # fmt: skip
        assert found.p is not None
        told += found.p < 0.05
    assert told <= 20  # ten are expected, fewer of shares, whose p values are coarse; more than 20 once in a thousand


def test_the_same_answers_differ_in_nothing() -> None:
    one = answers(np.arange(50) % 3 > 0)
    assert differences(one, one, additive=True)["accuracy"] == Difference(0.66, 0.66, 0.0, p=1.0)


def test_a_measure_that_one_has_not_is_left_out_and_an_undefined_one_has_no_value() -> None:
    def more(tally: FloatArray) -> dict[str, float | None]:
        return {**share(tally), "own": 1.0}

    def nothing(tally: FloatArray) -> dict[str, float | None]:
        return {"accuracy": None}

    one = answers(np.arange(20) % 2 > 0)
    assert list(differences(Tallied(one.tally, more), one, additive=True)) == ["accuracy"]
    found = differences(one, Tallied(one.tally, nothing), additive=True)["accuracy"]
    assert found == Difference(0.5, None, None)


def test_unlike_columns_have_intervals_and_no_test() -> None:
    one = answers(np.arange(40) % 2 > 0)
    wide = Tallied(np.column_stack([one.tally, np.zeros(40)]), lambda tally: share(tally[:, :2]))
    with pytest.raises(ValueError, match="same columns"):
        differences(one, wide, additive=True)
    found = differences(one, wide, additive=True, exchanged=False)["accuracy"]
    assert (found.value, found.p) == (0.0, None)


def test_tallies_of_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="same examples"):
        differences(answers(np.ones(3, bool)), answers(np.ones(4, bool)), additive=True)

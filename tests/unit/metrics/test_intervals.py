"""Intervals hold what they should, and measures say why they have no value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hone.core.measures import MeasureSpec
from hone.metrics.intervals import bootstrap, to_measures, wilson, with_intervals

FloatArray = NDArray[np.float64]


def mean(tally: FloatArray) -> dict[str, float | None]:
    total = tally[:, 1].sum()
    return {"mean": float(tally[:, 0].sum() / total) if total else None}


def counted(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones_like(values)], axis=1)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (1, 2, 0.0945, 0.9055)],
)
def test_wilson_gives_the_published_bounds(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_narrows_with_a_lower_level() -> None:
    wide, narrow = wilson(70, 100, level=0.99), wilson(70, 100, level=0.8)
    assert wide[0] < narrow[0] < 0.7 < narrow[1] < wide[1]


@pytest.mark.parametrize(("successes", "n", "level"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        wilson(successes, n, level=level)


@pytest.mark.parametrize("additive", [True, False])
def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says(additive: bool) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(200):
        sample = rng.exponential(2.0, 120)
        bounds = bootstrap(counted(sample), mean, additive=additive, resamples=200, level=0.9, seed=trial)["mean"]
        assert bounds is not None
        held += bounds[0] <= 2.0 <= bounds[1]
    assert 0.82 <= held / 200 <= 0.95  # nominal 0.9; a skewed distribution costs a little


def test_both_ways_of_resampling_agree() -> None:
    tally = counted(np.random.default_rng(0).normal(5, 2, 400))
    one = bootstrap(tally, mean, additive=True, resamples=4000)["mean"]
    other = bootstrap(tally, mean, additive=False, resamples=4000)["mean"]
    assert one is not None
    assert other is not None
    assert one == pytest.approx(other, abs=0.03)


def test_bootstrap_in_blocks_equals_bootstrap_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = counted(np.arange(50, dtype=np.float64))
    at_once = bootstrap(tally, mean, additive=True, resamples=100)
    monkeypatch.setattr("hone.metrics.intervals.BLOCK_DRAWS", 350)
    assert bootstrap(tally, mean, additive=True, resamples=100) == at_once


def test_bootstrap_is_repeatable_and_depends_on_its_seed() -> None:
    tally = counted(np.random.default_rng(1).normal(size=60))
    assert bootstrap(tally, mean, additive=True, seed=4) == bootstrap(tally, mean, additive=True, seed=4)
    assert bootstrap(tally, mean, additive=True, seed=4) != bootstrap(tally, mean, additive=True, seed=5)


def test_a_measure_undefined_on_a_resample_has_no_interval() -> None:
    tally = np.array([[1.0, 1.0], [0.0, 0.0]])  # one example in four draws has nothing to score
    assert bootstrap(tally, mean, additive=True) == {"mean": None}


def test_no_examples_have_no_intervals() -> None:
    assert bootstrap(np.zeros((0, 2)), mean, additive=True) == {}


def test_a_none_value_gets_a_reason_and_no_interval() -> None:
    [measure] = to_measures({"f1": None}, {"f1": MeasureSpec()}, intervals={"f1": (0.1, 0.2)}, n=0)
    assert measure.value is None
    assert measure.reason
    assert measure.low is None


def test_measures_take_unit_direction_and_slice() -> None:
    specs = {"ms": MeasureSpec(unit="ms", better="lower")}
    [measure] = to_measures({"ms": 4.0}, specs, intervals={"ms": (3.0, 5.0)}, n=9, slice="tokens 0-16")
    assert (measure.unit, measure.better, measure.slice) == ("ms", "lower", "tokens 0-16")
    assert (measure.low, measure.high, measure.n) == (3.0, 5.0, 9)


def test_an_interval_is_widened_to_hold_its_value() -> None:
    [measure] = to_measures({"ece": 0.01}, {}, intervals={"ece": (0.02, 0.03)}, n=5)
    assert (measure.low, measure.high) == (0.01, 0.03)


def test_each_measure_gets_the_interval_that_its_spec_names() -> None:
    tally = counted(np.array([1.0, 0.0, 1.0, 1.0] * 25))

    def measured(rows: FloatArray) -> dict[str, float | None]:
        value = mean(rows)["mean"]
        return {"by_wilson": value, "by_bootstrap": value, "by_none": value}

    specs = {f"by_{kind}": MeasureSpec(interval=kind) for kind in ("wilson", "bootstrap", "none")}
    by_wilson, by_bootstrap, by_none = with_intervals(tally, measured, specs=specs, additive=True)
    assert (by_wilson.low, by_wilson.high) == wilson(75, 100)
    assert by_bootstrap.low is not None
    assert by_bootstrap.low < 0.75
    assert by_none.low is None
    assert by_none.value == 0.75


def test_a_measure_of_some_examples_rests_on_these() -> None:
    tally = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])

    def measured(rows: FloatArray) -> dict[str, float | None]:
        return {"of_all": 0.5, "of_some": 0.5}

    specs = {"of_all": MeasureSpec(), "of_some": MeasureSpec(counted=1)}
    of_all, of_some = with_intervals(tally, measured, specs=specs, additive=True)
    assert (of_all.n, of_some.n) == (3, 2)


def test_one_example_has_no_bootstrap() -> None:
    [measure] = with_intervals(counted(np.ones(1)), mean, specs={"mean": MeasureSpec()}, additive=True)
    assert measure.value == 1.0
    assert measure.low is None

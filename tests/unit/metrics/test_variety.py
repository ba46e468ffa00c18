"""Variety of a set and what bounds it: counted by hand, and held against sets that are drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from hone.metrics.diversity import distinct, distinct_tally
from hone.metrics.variety import Variety, variety_differences, variety_intervals


def texts(count: int, *, seed: int, words: int = 60, length: int = 6) -> list[list[list[str]]]:
    """Examples of one text each, of words that are the rarer the later they come."""
    draws = np.random.default_rng(seed)
    chances = 1 / np.arange(1, words + 1)
    drawn = draws.choice(words, size=(count, length), p=chances / chances.sum())
    return [[[f"w{word}" for word in row]] for row in drawn]


def everything(variety: Variety) -> dict[str, float | None]:
    return variety.values(np.ones(variety.count, dtype=bool))


def test_of_any_examples_it_is_distinct_n() -> None:
    more: list[list[list[str]]] = [[["a"], ["a", "b", "a"]], [[]]]
    said = [*texts(12, seed=1), *more]
    variety = Variety(said)
    for chosen in ([*range(14)], [0, 3, 12], [12, 13]):
        mask = np.isin(np.arange(14), chosen)
        flat = [units for example in chosen for units in said[example]]
        assert variety.values(mask) == pytest.approx(distinct(distinct_tally(flat)))
    assert set(variety.values(np.arange(14) == 13).values()) == {None}


def test_intervals_hold_what_other_sets_of_that_size_come_to() -> None:
    """A bootstrap's hold it hardly ever: every one of its samples is less varied."""
    count, held = 40, 0
    expected = np.mean([everything(Variety(texts(count, seed=seed)))["distinct_1"] for seed in range(1000, 1300)])
    for seed in range(100):
        bounds = variety_intervals(Variety(texts(count, seed=seed)), resamples=200)["distinct_1"]
        assert bounds is not None
        held += int(bounds[0] <= expected <= bounds[1])
    assert held >= 90


def test_of_too_few_texts_or_of_equal_ones_there_is_no_interval() -> None:
    assert set(variety_intervals(Variety(texts(3, seed=1))).values()) == {None}
    assert variety_intervals(Variety([[["a"]]] * 10))["distinct_1"] is None


def test_sets_are_told_apart_where_they_differ_and_not_where_they_do_not() -> None:
    narrow, wide, same = texts(40, seed=1, words=20), texts(40, seed=2, words=200), texts(40, seed=3, words=20)
    found = variety_differences(narrow, wide, resamples=200)["distinct_1"]
    assert found.first == everything(Variety(narrow))["distinct_1"]
    assert found.second == everything(Variety(wide))["distinct_1"]
    assert found.value == pytest.approx(found.second - found.first)  # type: ignore[operator]
    assert found.p == pytest.approx(1 / 201)
    assert found.low is not None
    assert found.low > 0
    alike = variety_differences(narrow, same, resamples=200)["distinct_1"]
    assert alike.p is not None
    assert alike.p > 0.05
    assert alike.low is not None
    assert alike.high is not None
    assert alike.low < 0 < alike.high


def test_a_set_beside_itself_differs_by_nothing() -> None:
    said = texts(10, seed=4)
    found = variety_differences(said, said, resamples=100)["distinct_2"]
    assert (found.value, found.p) == (0.0, 1.0)

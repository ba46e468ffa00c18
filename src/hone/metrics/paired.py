"""What one way to answer has over another, on the same examples: paired intervals and paired tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hone.metrics.intervals import (
    BLOCK_DRAWS,
    RESAMPLES,
    Bounds,
    FloatArray,
    IntArray,
    Values,
    Weighing,
    bootstrap,
    less,
)

Measuring = Callable[[FloatArray], Values]
ALIKE = 1e-9  # of the larger measure: differences that rounding alone tells apart are one


@dataclass(frozen=True)
class Tallied:
    """Answers, counted.

    Attributes:
        tally: Float64 [examples, k].
        measures: Of any tally of k columns.
        weighing: See `bootstrap`.
    """

    tally: FloatArray
    measures: Measuring
    weighing: Weighing | None = None


@dataclass(frozen=True)
class Difference:
    """What the second has over the first, by one measure.

    Attributes:
        first, second: The measure of each; None where there is nothing to score.
        value: ``second - first``; None where one of them is.
        low, high: Its 95% interval by the paired bootstrap; None where that has none (see `bootstrap`),
            widened to the value where, as of a biased statistic, it does not hold that.
        p: Two-sided p value by approximate randomization; None where it was not asked for, or a measure is undefined
            for some exchange.
    """

    first: float | None
    second: float | None
    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def differences(
    first: Tallied,
    second: Tallied,
    *,
    additive: bool,
    exchanged: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """By every measure that both have, in the order of the first's.

    Of an example both answers are drawn together (Koehn 2004), so that what makes it hard for both does not count. The
    test exchanges both answers of an example with a chance of one half (Noreen 1989; Riezler and Maxwell 2005): were it
    the same who answers, how often would the difference be as large? Of a share of independent trials that is McNemar's
    exact test, but for the drawing.

    Args:
        first, second: Of the same examples, in the same order.
        additive: See `bootstrap`.
        exchanged: Whether answers of one may be counted among those of the other: their columns mean the same.
        resamples: How many samples, and how many exchanges, are drawn.
        seed: Same seed, same figures.

    Raises:
        ValueError: The tallies are not of as many examples; or of unlike columns, which cannot be exchanged.
    """
    one, other = first.tally, second.tally
    if len(one) != len(other):
        raise ValueError(f"both tallies must be of the same examples, got {len(one)} and {len(other)}")
    if exchanged and one.shape != other.shape:
        raise ValueError(f"tallies to exchange must have the same columns, got {one.shape[1]} and {other.shape[1]}")
    width = one.shape[1]

    def both(tally: FloatArray) -> Values:
        return _grown(first.measures(tally[:, :width]), second.measures(tally[:, width:]))

    stacked = np.hstack([one, other])
    found = both(stacked)
    intervals: dict[str, Bounds | None] = {}
    if len(one) > 1:
        weighing = _both_weighing(first, second, width)
        intervals = bootstrap(stacked, both, additive=additive, resamples=resamples, seed=seed, weighing=weighing)
    chances = _chances(found, first, second, additive=additive, draws=resamples, seed=seed) if exchanged else {}
    had, has = first.measures(one), second.measures(other)
    result = {}
    for name, value in found.items():
        bounds = intervals.get(name) if value is not None else None
        low, high = (min(bounds[0], value), max(bounds[1], value)) if bounds and value is not None else (None, None)
        result[name] = Difference(had[name], has[name], value, low, high, chances.get(name))
    return result


def _grown(had: Values, has: Values) -> Values:
    """What the second has over the first by every measure that both have."""
    return {name: less(has[name], had[name]) for name in had if name in has}


def _both_weighing(first: Tallied, second: Tallied, width: int) -> Weighing | None:
    """Of two tallies beside each other, the first with ``width`` columns, `_grown` by weights; None where one of them
    has no measures by weights."""
    one, other = first.weighing, second.weighing
    if one is None or other is None:
        return None

    def weighing(stacked: FloatArray) -> Callable[[IntArray], Values]:
        had, has = one(stacked[:, :width]), other(stacked[:, width:])
        return lambda weights: _grown(had(weights), has(weights))

    return weighing


def _chances(
    found: Values, first: Tallied, second: Tallied, *, additive: bool, draws: int, seed: int
) -> dict[str, float | None]:
    """Of each measure the share of exchanges, the one that was found among them (Phipson and Smyth 2010), that move
    both as far apart as they are found."""
    known = {name: abs(value) for name, value in found.items() if value is not None}
    reached: dict[str, int | None] = dict.fromkeys(known, 1)
    for had, has in _exchanged(first, second, additive=additive, draws=draws, seed=seed):
        for name, least in known.items():
            one_is, other_is, count = had[name], has[name], reached[name]
            if one_is is None or other_is is None or count is None:
                reached[name] = None
                continue
            near = ALIKE * max(abs(one_is), abs(other_is))
            reached[name] = count + (abs(other_is - one_is) >= least - near)
    return {name: None if count is None else count / (draws + 1) for name, count in reached.items()}


def _exchanged(
    first: Tallied, second: Tallied, *, additive: bool, draws: int, seed: int
) -> Iterator[tuple[Values, Values]]:
    """The measures of both where each example's answers have changed places with a chance of one half."""
    if additive or first.weighing is None or second.weighing is None:
        for one, other in _exchanges(first.tally, second.tally, additive=additive, draws=draws, seed=seed):
            yield first.measures(one), second.measures(other)
        return
    rng, count = np.random.default_rng(seed), len(first.tally)
    either = np.vstack([first.tally, second.tally])
    had, has = first.weighing(either), second.weighing(either)
    for _ in range(draws):
        turned = rng.random(count) < 0.5
        taken = np.concatenate([~turned, turned]).astype(np.int64)
        yield had(taken), has(1 - taken)


def _exchanges(
    one: FloatArray, other: FloatArray, *, additive: bool, draws: int, seed: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Pairs of tallies in which each example's answers have changed places with a chance of one half: their sums,
    float64 [1, k], where those are enough, a block at a time."""
    rng = np.random.default_rng(seed)
    count, more = len(one), other - one
    if not additive:
        for _ in range(draws):
            turned = rng.random((count, 1)) < 0.5
            yield np.where(turned, other, one), np.where(turned, one, other)
        return
    had, has = one.sum(0), other.sum(0)
    block = max(1, BLOCK_DRAWS // max(1, count))
    for begin in range(0, draws, block):
        turned = rng.random((min(block, draws - begin), count)) < 0.5
        for moved in turned.astype(np.float64) @ more:
            yield (had + moved)[None, :], (has - moved)[None, :]

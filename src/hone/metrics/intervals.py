"""Intervals: Wilson's for shares of independent trials, the bootstrap over examples for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hone.core.measures import Measure, MeasureSpec

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Values = dict[str, float | None]
Bounds = tuple[float, float]
Weighing = Callable[[FloatArray], Callable[[IntArray], Values]]  # of a tally its measures by weights of the examples

RESAMPLES = 1000
BLOCK_DRAWS = 1 << 22  # examples drawn at once: about 32 MiB of weights
NOTHING_TO_SCORE = "there is nothing to score in this part of the data"


def less(one: float | None, other: float | None) -> float | None:
    """``one - other``; None where one of them is."""
    return None if one is None or other is None else one - other


def wilson(successes: float, n: int, *, level: float = 0.95) -> Bounds:
    """Wilson's score interval of a share (Wilson 1927), without continuity correction.

    Args:
        successes: How many of the trials succeeded, 0 to ``n``.
        n: How many independent trials there were.
        level: Confidence level, between 0 and 1.

    Raises:
        ValueError: ``n`` is not positive, ``successes`` lies outside 0 to ``n``, or ``level`` outside 0 to 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n * (1 + 1e-12):
        raise ValueError(f"successes must be between 0 and n = {n}, got {successes}")
    z = NormalDist().inv_cdf((1 + _checked(level)) / 2)
    share = min(1.0, successes / n)
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if share == 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if share == 1 else min(1.0, (middle + spread) / scale)
    return low, high


def bootstrap(
    tally: FloatArray,
    measures: Callable[[FloatArray], Values],
    *,
    additive: bool,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    weighing: Weighing | None = None,
) -> dict[str, Bounds | None]:
    """Percentile bootstrap over examples (Efron 1979).

    Args:
        tally: Sufficient counts, float64 [examples, k].
        measures: Measures of any tally of k columns.
        additive: Whether the measures of a tally equal those of the sum of its rows, float64 [1, k]. Resamples are then
            multinomial weights times the tally, made in blocks of bounded memory, and no row is copied.
        resamples: How many times the examples are drawn with replacement.
        level: Confidence level, between 0 and 1.
        seed: Same seed, same interval.
        weighing: Gives of the tally what measures it by how often each example is drawn, int64 [examples], as
            ``measures`` does the copied rows, which are then not made; for measures that are not additive.

    Returns:
        Name -> (low, high); None for a measure that is undefined (None) on any resample, or that resampling does not
        move (five of five right say nothing of the sixth). Empty without examples.
        A statistic that sampling noise biases (expected calibration error grows with it) has its interval shifted by
        that bias.

    Raises:
        ValueError: ``resamples`` is not positive, or ``level`` outside 0 to 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    bounds = [(1 - _checked(level)) / 2, (1 + level) / 2]
    if not len(tally):
        return {}
    draws = np.random.default_rng(seed)
    if weighing is not None and not additive:
        resampled: Iterator[Values] = map(weighing(tally), _weights(len(tally), resamples, draws))
    else:
        samples = _sums(tally, resamples, draws) if additive else _rows(tally, resamples, draws)
        resampled = map(measures, samples)
    drawn: dict[str, list[float | None]] = {}
    for sample in resampled:
        for name, value in sample.items():
            drawn.setdefault(name, []).append(value)
    intervals: dict[str, Bounds | None] = {}
    for name, values in drawn.items():
        known = [value for value in values if value is not None]
        if len(known) < resamples:
            intervals[name] = None
            continue
        low, high = np.quantile(known, bounds)
        intervals[name] = (float(low), float(high)) if low < high else None
    return intervals


def to_measures(
    values: Mapping[str, float | None],
    specs: Mapping[str, MeasureSpec],
    *,
    intervals: Mapping[str, Bounds | None],
    n: int,
    slice: str = "",
    level: float = 0.95,
) -> list[Measure]:
    """`Measure`s of ``values``, in their order, with unit and direction from ``specs``.

    A value without a spec is a share of which more is better. A None value gets a reason. An interval that does not
    hold its own value, as the percentiles of a biased statistic may not, is widened to it.
    """
    out = []
    for name, value in values.items():
        spec = specs.get(name, MeasureSpec())
        bounds = intervals.get(name) if value is not None else None
        low, high = (min(bounds[0], value), max(bounds[1], value)) if bounds and value is not None else (None, None)
        out.append(
            Measure(
                name=name,
                value=value,
                reason=NOTHING_TO_SCORE if value is None else "",
                low=low,
                high=high,
                level=level,
                n=n,
                unit=spec.unit,
                better=spec.better,
                slice=slice,
            )
        )
    return out


def with_intervals(
    tally: FloatArray,
    measures: Callable[[FloatArray], Values],
    *,
    specs: Mapping[str, MeasureSpec],
    additive: bool,
    slice: str = "",
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    weighing: Weighing | None = None,
) -> list[Measure]:
    """Every measure of a tally (float64 [examples, k]) with the interval that its spec asks for.

    See `bootstrap` for ``additive``, ``resamples``, ``level``, ``seed`` and ``weighing``. One example, or none, has no
    bootstrap.
    """
    values, n = measures(tally), len(tally)
    kinds = {name: specs.get(name, MeasureSpec()).interval for name in values}
    intervals: dict[str, Bounds | None] = {}
    if n > 1 and "bootstrap" in kinds.values():
        drawn = bootstrap(
            tally, measures, additive=additive, resamples=resamples, level=level, seed=seed, weighing=weighing
        )
        intervals = {name: bounds for name, bounds in drawn.items() if kinds.get(name) == "bootstrap"}
    for name, value in values.items():
        if kinds[name] == "wilson" and value is not None and n:
            intervals[name] = wilson(value * n, n, level=level)
    measured = to_measures(values, specs, intervals=intervals, n=n, slice=slice, level=level)
    return [one.model_copy(update={"n": rested_on(specs.get(one.name, MeasureSpec()), tally)}) for one in measured]


def rested_on(spec: MeasureSpec, tally: FloatArray) -> int:
    """How many of the examples of a tally, float64 [examples, k], a measure rests on."""
    return len(tally) if spec.counted is None else int(tally[:, spec.counted].sum())


def _weights(n: int, resamples: int, draws: np.random.Generator) -> Iterator[IntArray]:
    """How often each example is drawn, int64 [examples]: the same examples as of `_rows`."""
    for _ in range(resamples):
        yield np.bincount(draws.integers(0, n, n), minlength=n)


def _rows(tally: FloatArray, resamples: int, draws: np.random.Generator) -> Iterator[FloatArray]:
    n = len(tally)
    for _ in range(resamples):
        yield tally[draws.integers(0, n, n)]


def _sums(tally: FloatArray, resamples: int, draws: np.random.Generator) -> Iterator[FloatArray]:
    """Tallies float64 [1, k]: multinomial weights [block, examples] times the tally, a block at a time."""
    n = len(tally)
    block = max(1, BLOCK_DRAWS // n)
    for begin in range(0, resamples, block):
        size = min(block, resamples - begin)
        places = draws.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        weights = np.bincount(places.ravel(), minlength=size * n).reshape(size, n)
        for row in weights.astype(np.float64) @ tally:
            yield row[None, :]


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return level

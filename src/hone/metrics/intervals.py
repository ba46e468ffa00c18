"""Intervals: Wilson's for shares of independent trials, the bootstrap over examples for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hone.core.measures import Measure, MeasureSpec

FloatArray = NDArray[np.float64]
Values = dict[str, float | None]


def wilson(successes: float, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927).

    Raises:
        ValueError: ``n`` is not positive.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def bootstrap(
    tally: FloatArray,
    measures: Callable[[FloatArray], Values],
    *,
    additive: bool,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap over examples (Efron 1979).

    Args:
        tally: Sufficient counts, float64 [examples, k].
        measures: Measures of any subset of rows.
        additive: Whether measures of a tally equal those of its sum: resamples are then weighted sums.

    Returns:
        Name -> (low, high); a measure that is undefined on any resample is left out.
    """
    rng = np.random.default_rng(seed)
    n = len(tally)
    drawn: dict[str, list[float | None]] = {}
    for _ in range(resamples if n else 0):
        if additive:
            weights = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
            values = measures((weights @ tally)[None, :])
        else:
            values = measures(tally[rng.integers(0, n, n)])
        for name, value in values.items():
            drawn.setdefault(name, []).append(value)
    bounds = [(1 - level) / 2, (1 + level) / 2]
    out = {}
    for name, sample in drawn.items():
        known = [value for value in sample if value is not None]
        if len(known) == len(sample):
            low, high = np.quantile(known, bounds)
            out[name] = (float(low), float(high))
    return out


def with_intervals(
    tally: FloatArray,
    measures: Callable[[FloatArray], Values],
    *,
    specs: Mapping[str, MeasureSpec],
    additive: bool,
    slice: str = "",
    resamples: int = 1000,
) -> list[Measure]:
    """Every measure of a tally with its interval, Wilson's where the spec says so."""
    values, n = measures(tally), len(tally)
    wanted = any(spec.interval == "bootstrap" for spec in specs.values())
    drawn = bootstrap(tally, measures, additive=additive, resamples=resamples) if wanted and n > 1 else {}
    out = []
    for name, value in values.items():
        spec = specs[name]
        low: float | None
        high: float | None
        if value is not None and spec.interval == "wilson":
            low, high = wilson(value * n, n)
        else:
            low, high = drawn.get(name, (None, None))
        out.append(
            Measure(
                name=name,
                value=value,
                reason="" if value is not None else "there is nothing to score in this part of the data",
                low=low if value is not None else None,
                high=high if value is not None else None,
                n=n,
                unit=spec.unit,
                better=spec.better,
                slice=slice,
            )
        )
    return out

"""How varied a set of texts is, with what bounds it: sets of half the texts, drawn without replacement.

Distinct-n belongs to a set. Drawn with replacement a set has texts twice, which makes none more varied, so a bootstrap
finds only less. Half of the texts, each once, is an honest smaller set; how far such halves lie apart says how far sets
of the whole size do (half-sampling, a delete-d jackknife: Shao and Wu 1989). What a text adds to a half is more than
what it adds to the whole, so the intervals are rather too wide than too narrow.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hone.core.measures import MeasureSpec
from hone.metrics.diversity import DISTINCT_ORDERS
from hone.metrics.intervals import RESAMPLES, Bounds, FloatArray, IntArray, Values, less
from hone.metrics.ngrams import Ngram, Units, count
from hone.metrics.paired import ALIKE, Difference

BoolArray = NDArray[np.bool_]
VARIETY_SPECS = {f"distinct_{n}": MeasureSpec(better=None) for n in DISTINCT_ORDERS}
FEWEST = 4  # examples whose halves say anything


class Variety:
    """``distinct_1`` to ``distinct_3`` (Li et al. 2016) of any of the examples together: distinct n-grams over all.

    Args:
        said: Of each example its texts, as their units.
    """

    def __init__(self, said: Sequence[Sequence[Units]]) -> None:
        self.count = len(said)
        self._orders = {f"distinct_{n}": _holders(said, n) for n in DISTINCT_ORDERS}

    def values(self, chosen: BoolArray) -> Values:
        """Of the examples that are ``chosen``, bool [examples]; None of no n-grams."""
        found: Values = {}
        for name, (owners, begins, totals) in self._orders.items():
            total = float(totals @ chosen)
            there = np.logical_or.reduceat(chosen[owners], begins).sum() if total else 0
            found[name] = float(there) / total if total else None
        return found


def variety_intervals(variety: Variety, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Bounds | None]:
    """The 95% interval of each value of all examples; None where halves do not say."""
    halves = (variety.values(half) for half in _halves(variety.count, resamples, seed))
    return _bounded(variety.values(np.ones(variety.count, dtype=np.bool_)), halves, count=variety.count)


def variety_differences(
    first: Sequence[Sequence[Units]], second: Sequence[Sequence[Units]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """What the second has over the first, said for the same examples. The interval is of halves of the examples, the
    same for both; p is that of exchanging what both said for an example with a chance of one half (`differences`), by
    which every text stays in one set."""
    both = Variety([*first, *second])
    nobody = np.zeros(len(first), dtype=np.bool_)

    def values(had: BoolArray, has: BoolArray) -> tuple[Values, Values, Values]:
        """Of both sets, bool [examples of first and of second], and what the second has over the first."""
        one, other = both.values(had), both.values(has)
        return one, other, {name: less(other[name], one[name]) for name in one}

    had, has, found = values(np.concatenate([~nobody, nobody]), np.concatenate([nobody, ~nobody]))
    halves = (
        values(np.concatenate([half, nobody]), np.concatenate([nobody, half]))[2]
        for half in _halves(len(first), resamples, seed)
    )
    bounds = _bounded(found, halves, count=len(first))
    reached, draws = dict.fromkeys(found, 1), np.random.default_rng(seed)
    for _ in range(resamples):
        turned = draws.random(len(first)) < 0.5
        one, other, far = values(np.concatenate([~turned, turned]), np.concatenate([turned, ~turned]))
        for name, value in found.items():
            near = ALIKE * max(one[name] or 0.0, other[name] or 0.0)
            reached[name] += abs(far[name] or 0.0) >= abs(value or 0.0) - near
    result = {}
    for name, value in found.items():
        low, high = bounds[name] or (None, None)
        p = None if value is None else reached[name] / (resamples + 1)
        result[name] = Difference(had[name], has[name], value, low, high, p)
    return result


def _holders(said: Sequence[Sequence[Units]], n: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Which examples hold each n-gram, int64 [pairs], those of one n-gram after another; where each begins, int64
    [n-grams]; and how many n-grams each example has, float64 [examples]."""
    numbers: dict[Ngram, int] = {}
    ids, owners, totals = array("q"), array("q"), np.zeros(len(said))
    for example, texts in enumerate(said):
        grams = sum((count(units, n) for units in texts), Counter[Ngram]())
        totals[example] = grams.total()
        ids.extend(numbers.setdefault(ngram, len(numbers)) for ngram in grams)
        owners.extend(itertools.repeat(example, len(grams)))
    held = np.asarray(ids, dtype=np.int64)
    order = held.argsort(kind="stable")
    return np.asarray(owners, dtype=np.int64)[order], np.searchsorted(held[order], np.arange(len(numbers))), totals


def _halves(examples: int, resamples: int, seed: int) -> Iterator[BoolArray]:
    """Half of the examples, bool [examples], again and again; none of too few."""
    draws = np.random.default_rng(seed)
    for _ in range(resamples if examples >= FEWEST else 0):
        half = np.zeros(examples, dtype=np.bool_)
        half[draws.permutation(examples)[: examples // 2]] = True
        yield half


def _bounded(found: Values, halves: Iterable[Values], *, count: int) -> dict[str, Bounds | None]:
    """As far to both sides of what was found as halves lie from their mean."""
    drawn: dict[str, list[float | None]] = {name: [] for name in found}
    for half in halves:
        for name, value in half.items():
            drawn[name].append(value)
    scale = math.sqrt((count // 2) / max(1, count - count // 2))
    bounds: dict[str, Bounds | None] = dict.fromkeys(found)
    for name, value in found.items():
        known = [one for one in drawn[name] if one is not None]
        if value is None or not known or len(known) < len(drawn[name]):
            continue
        low, high = np.quantile(known, (0.025, 0.975)) - np.mean(known)
        bounds[name] = (value + scale * float(low), value + scale * float(high)) if low < high else None
    return bounds

"""``hone bench``: throughput, latency and padding of a bundle here, in alternation with what else could run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hone.bench.examples import Example
from hone.bench.systems import System
from hone.core.errors import DataError
from hone.core.measures import Measure
from hone.core.progress import Progress, Silent
from hone.predict.predictor import Predictor
from hone.report.report import Cell, Grid, Report
from hone.tasks.protocol import Writing
from hone.tasks.rows import IntArray

GROUPS = 5

Seconds = dict[str, list[float]]


class Amounts(NamedTuple):
    """How much is timed.

    Attributes:
        batches: Sizes of the batches.
        at_least, batches_each: Texts of one timing: so many, or so many batches.
        singles: Texts that are asked one at a time.
        group: Most texts of one length.
    """

    batches: tuple[int, ...]
    at_least: int
    batches_each: int
    singles: int
    group: int

    def texts_of(self, batch: int, texts: int) -> int:
        """Texts of one timing, where there are so many."""
        return min(texts, max(self.at_least, self.batches_each * batch))


READ = Amounts((1, 8, 32, 128), at_least=64, batches_each=16, singles=100, group=128)
WRITTEN = Amounts((1, 8, 32), at_least=8, batches_each=1, singles=12, group=32)  # a text takes a pass for each token


@dataclass(frozen=True)
class Timed:
    """Timings of some texts.

    Attributes:
        count: How many texts.
        seconds: Of each system, repeat after repeat.
        written: Tokens that each wrote in one of them.
    """

    count: int
    seconds: Seconds
    written: dict[str, int]

    def rates(self, name: str) -> NDArray[np.float64]:
        """Texts a second of a system."""
        return self.count / np.array(self.seconds[name])


ByBatch = dict[int, Timed]


def bench(
    predictor: Predictor,
    systems: Sequence[System],
    texts: Sequence[Example],
    *,
    repeats: int = 6,
    progress: Progress | None = None,
) -> Report:
    """Time ``systems`` on ``texts``, A B A B, after a warm-up that does not count.

    Args:
        predictor: Whose bundle the report speaks of, and whose tokenizer counts tokens.
        systems: The first is the one the report is about.
        texts: What is answered; of a long file the first thousand are plenty.
        repeats: Timings of each figure; their least and greatest bound its median at a level of 1 - 2^(1 - repeats).

    Raises:
        DataError: There are no texts.
    """
    if not texts:
        raise DataError("found no texts to time", expected="at least one", code="data.empty")
    progress = progress or Silent()
    writes = isinstance(predictor.task, Writing)
    amounts = WRITTEN if writes else READ
    lengths = predictor.tokens_of(list(texts))
    progress.begin("timing", total=(len(amounts.batches) + GROUPS) * repeats + 1, unit="round")
    by_batch = {
        batch: _alternated(
            systems, texts[: amounts.texts_of(batch, len(texts))], batch=batch, repeats=repeats, done=progress.advance
        )
        for batch in amounts.batches
    }
    singles = _singles(systems, texts[: amounts.singles])
    progress.advance(1)
    speed = _speed(systems, by_batch, singles, lengths=lengths, writes=writes)
    groups = [group[: amounts.group] for group in np.array_split(np.argsort(lengths, kind="stable"),
                                                                 min(GROUPS, len(texts)))]  # fmt: skip
    grid = _by_length(systems, texts, groups, lengths=lengths, repeats=repeats, done=progress.advance)
    progress.finish()
    return Report(
        stage="bench",
        bundle=predictor.bundle.digest,
        measures=_measures(systems, by_batch, repeats=repeats),
        tables={
            "speed": speed,
            "throughput_by_batch": _throughputs(systems, by_batch),
            "cost_by_length": grid,
        },
        facts={"texts": len(texts), "tokens": int(lengths.sum()), "repeats": repeats},
    )


def _alternated(
    systems: Sequence[System], texts: Sequence[Example], *, batch: int, repeats: int, done: Callable[[int], None]
) -> Timed:
    """Timings of each system for ``texts``; the order turns round each time."""
    for system in systems:
        system.answer(texts[: 2 * batch], batch=batch)
    seconds: Seconds = {system.name: [] for system in systems}
    written: dict[str, int] = {}
    for repeat in range(repeats):
        for system in systems if repeat % 2 == 0 else list(systems)[::-1]:
            began = time.perf_counter()
            found = system.answer(texts, batch=batch)
            seconds[system.name].append(time.perf_counter() - began)
            written[system.name] = system.written(found)
        done(1)
    return Timed(len(texts), seconds, written)


def _singles(systems: Sequence[System], texts: Sequence[Example]) -> Seconds:
    """Seconds of each text on its own."""
    seconds: Seconds = {system.name: [] for system in systems}
    for text in texts:
        for system in systems:
            began = time.perf_counter()
            system.answer([text], batch=1)
            seconds[system.name].append(time.perf_counter() - began)
    return seconds


def _best(by_batch: ByBatch, name: str) -> int:
    """The batch size at which a system answers most texts a second."""
    return max(by_batch, key=lambda batch: float(np.median(by_batch[batch].rates(name))))


def _speed(systems: Sequence[System], by_batch: ByBatch, singles: Seconds, *, lengths: IntArray, writes: bool) -> Grid:
    """Of each system texts and tokens a second, and milliseconds of a text alone. Tokens are those that were read, and
    the share of padding beside them; of a bundle that writes those that were written."""
    rows: list[list[Cell]] = []
    for system in systems:
        batch = _best(by_batch, system.name)
        timed = by_batch[batch]
        rates, alone = timed.rates(system.name), 1e3 * np.array(singles[system.name])
        median, read = float(np.median(rates)), int(lengths[: timed.count].sum())
        tokens = timed.written[system.name] if writes else read
        padding = [] if writes else [1 - read / max(1, system.computed(lengths[: timed.count], batch=batch))]
        quantiles = [float(value) for value in np.quantile(alone, (0.5, 0.99))]
        rows.append([system.name, median, float(rates.min()), float(rates.max()), batch, median * tokens / timed.count,
                     *padding, *quantiles])  # fmt: skip
    padding_share = [] if writes else ["padding_share"]
    columns = ["system", "texts_per_s", "low", "high", "batch", "tokens_per_s", *padding_share, "p50_ms", "p99_ms"]
    return Grid(columns=columns, rows=rows, show="bars")


def _throughputs(systems: Sequence[System], by_batch: ByBatch) -> Grid:
    rows: list[list[Cell]] = [
        [batch, *(float(np.median(timed.rates(system.name))) for system in systems)]
        for batch, timed in by_batch.items()
    ]
    return Grid(columns=["batch", *(system.name for system in systems)], rows=rows, show="line")


def _by_length(
    systems: Sequence[System],
    texts: Sequence[Example],
    groups: Sequence[IntArray],
    *,
    lengths: IntArray,
    repeats: int,
    done: Callable[[int], None],
) -> Grid:
    """Milliseconds a text over its tokens: ``groups`` are the texts of like length."""
    rows: list[list[Cell]] = []
    for chosen in groups:
        timed = _alternated(systems, [texts[i] for i in chosen], batch=32, repeats=repeats, done=done)
        cost = [1e3 * float(np.median(timed.seconds[system.name])) / len(chosen) for system in systems]
        rows.append([float(lengths[chosen].mean()), *cost])
    return Grid(columns=["tokens", *(system.name for system in systems)], rows=rows, show="line")


def _measures(systems: Sequence[System], by_batch: ByBatch, *, repeats: int) -> list[Measure]:
    """Texts a second of the first system at its best batch size, and how many times that of each other one."""
    level = 1 - 2.0 ** (1 - repeats)
    rates = {system.name: by_batch[_best(by_batch, system.name)].rates(system.name) for system in systems}
    first, *others = rates
    found = [("texts_per_s", rates[first], "")]
    found += [("times_as_fast", rates[first] / rates[other], other) for other in others]
    return [
        Measure(
            name=name, value=float(np.median(values)), low=float(values.min()), high=float(values.max()), level=level,
            n=repeats, unit="", slice=part,
        )
        for name, values, part in found
    ]  # fmt: skip

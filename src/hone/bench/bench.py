"""``hone bench``: throughput, latency and padding of a bundle here, in alternation with what else could run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hone.bench.examples import Example
from hone.bench.systems import System
from hone.core.errors import DataError
from hone.core.measures import Measure
from hone.core.progress import Progress, Silent
from hone.predict.given import columns_of
from hone.predict.predictor import Predictor
from hone.report.report import Cell, Grid, Report
from hone.tasks.rows import IntArray, Rows

BATCHES = (1, 8, 32, 128)
AT_LEAST, BATCHES_EACH = 64, 16  # texts of one timing: so many, or so many batches
SINGLES = 100
GROUPS = 5

Seconds = dict[str, list[float]]


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
    lengths = _lengths(predictor, texts)
    progress.begin("timing", total=(len(BATCHES) + GROUPS) * repeats + 1, unit="round")
    by_batch = {
        batch: _alternated(
            systems, texts[: _count(batch, len(texts))], batch=batch, repeats=repeats, done=progress.advance
        )
        for batch in BATCHES
    }
    singles = _singles(systems, texts[:SINGLES])
    progress.advance(1)
    speed = _speed(systems, by_batch, singles, lengths=lengths)
    grid = _by_length(systems, texts, lengths, repeats=repeats, done=progress.advance)
    progress.finish()
    return Report(
        stage="bench",
        bundle=predictor.bundle.digest,
        measures=_measures(systems, by_batch, texts=len(texts), repeats=repeats),
        tables={
            "speed": speed,
            "throughput_by_batch": _throughputs(systems, by_batch, len(texts)),
            "cost_by_length": grid,
        },
        facts={"texts": len(texts), "tokens": int(lengths.sum()), "repeats": repeats},
    )


def _lengths(predictor: Predictor, texts: Sequence[Example]) -> IntArray:
    """Tokens of each text as the model reads it: its rows together."""
    columns = columns_of(list(texts), predictor.input_choices)
    rows = Rows(predictor.task.encode(columns, purpose="predict"))
    total = np.zeros(len(texts), dtype=np.int64)
    np.add.at(total, rows.example, rows.lengths)
    return total


def _count(batch: int, texts: int) -> int:
    return min(texts, max(AT_LEAST, BATCHES_EACH * batch))


def _alternated(
    systems: Sequence[System], texts: Sequence[Example], *, batch: int, repeats: int, done: Callable[[int], None]
) -> Seconds:
    """Seconds of each system for ``texts``, repeat after repeat; the order turns round each time."""
    for system in systems:
        system.answer(texts[: 2 * batch], batch=batch)
    seconds: Seconds = {system.name: [] for system in systems}
    for repeat in range(repeats):
        for system in systems if repeat % 2 == 0 else list(systems)[::-1]:
            began = time.perf_counter()
            system.answer(texts, batch=batch)
            seconds[system.name].append(time.perf_counter() - began)
        done(1)
    return seconds


def _singles(systems: Sequence[System], texts: Sequence[Example]) -> Seconds:
    """Seconds of each text on its own."""
    seconds: Seconds = {system.name: [] for system in systems}
    for text in texts:
        for system in systems:
            began = time.perf_counter()
            system.answer([text], batch=1)
            seconds[system.name].append(time.perf_counter() - began)
    return seconds


def _best(by_batch: Mapping[int, Seconds], name: str, texts: int) -> int:
    """The batch size at which a system answers most texts a second."""
    return max(by_batch, key=lambda batch: _count(batch, texts) / float(np.median(by_batch[batch][name])))


def _speed(systems: Sequence[System], by_batch: Mapping[int, Seconds], singles: Seconds, *, lengths: IntArray) -> Grid:
    rows: list[list[Cell]] = []
    for system in systems:
        batch = _best(by_batch, system.name, len(lengths))
        count = _count(batch, len(lengths))
        rates = count / np.array(by_batch[batch][system.name])
        tokens, alone = int(lengths[:count].sum()), 1e3 * np.array(singles[system.name])
        median = float(np.median(rates))
        rows.append(
            [
                system.name, median, float(rates.min()), float(rates.max()), batch, median * tokens / count,
                1 - tokens / max(1, system.computed(lengths[:count], batch=batch)),
                *(float(value) for value in np.quantile(alone, (0.5, 0.99))),
            ]
        )  # fmt: skip
    columns = ["system", "texts_per_s", "low", "high", "batch", "tokens_per_s", "padding_share", "p50_ms", "p99_ms"]
    return Grid(columns=columns, rows=rows, show="bars")


def _throughputs(systems: Sequence[System], by_batch: Mapping[int, Seconds], texts: int) -> Grid:
    rows: list[list[Cell]] = [
        [batch, *(_count(batch, texts) / float(np.median(seconds[system.name])) for system in systems)]
        for batch, seconds in by_batch.items()
    ]
    return Grid(columns=["batch", *(system.name for system in systems)], rows=rows, show="line")


def _by_length(
    systems: Sequence[System], texts: Sequence[Example], lengths: IntArray, *, repeats: int, done: Callable[[int], None]
) -> Grid:
    """Milliseconds a text over its tokens: the texts in groups of like length."""
    rows: list[list[Cell]] = []
    for group in np.array_split(np.argsort(lengths, kind="stable"), min(GROUPS, len(texts))):
        chosen = group[: 4 * max(BATCHES[:-1])]
        seconds = _alternated(systems, [texts[i] for i in chosen], batch=32, repeats=repeats, done=done)
        cost = [1e3 * float(np.median(seconds[system.name])) / len(chosen) for system in systems]
        rows.append([float(lengths[chosen].mean()), *cost])
    return Grid(columns=["tokens", *(system.name for system in systems)], rows=rows, show="line")


def _measures(systems: Sequence[System], by_batch: Mapping[int, Seconds], *, texts: int, repeats: int) -> list[Measure]:
    """Texts a second of the first system at its best batch size, and how many times that of each other one."""
    level = 1 - 2.0 ** (1 - repeats)
    best = {system.name: _best(by_batch, system.name, texts) for system in systems}
    rates = {name: _count(batch, texts) / np.array(by_batch[batch][name]) for name, batch in best.items()}
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

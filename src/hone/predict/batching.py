"""Rows through an engine: alike lengths together, so much padded work at once, results in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.predict.engine import Engine
from hone.predict.formats import TOKENS_AT_ONCE
from hone.predict.generation.generate import Abandoned
from hone.predict.workers import as_opened, by_workers
from hone.predict.writing import write_rows
from hone.tasks.protocol import Task, Writing
from hone.tasks.rows import IntArray, Rows

Scored = tuple[IntArray, list[NDArray[np.float32]]]  # row indices and what each of the rows scored
FEWEST_TOKENS = 64  # of a batch, where few texts are divided among workers
BATCHES_A_WORKER = 2  # at least: with one each, all would wait for the longest


def budgeted(lengths: IntArray, *, tokens: int = TOKENS_AT_ONCE) -> Iterator[IntArray]:
    """Batches of row indices, longest first, each at most ``tokens`` after padding (or one row).

    One that could be more than a third of that without any padding is: rows of one length need no layout for attention.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = -lengths[order]
    at = 0
    while at < len(order):
        rows = max(1, tokens // max(1, int(-falling[at])))
        alike = int(np.searchsorted(falling[at : at + rows], falling[at], side="right"))
        if 3 * alike > rows:
            rows = alike
        yield order[at : at + rows]
        at += rows


def score_rows(
    task: Task,
    engine: Engine,
    rows: Rows,
    *,
    done: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    together: bool = False,
) -> list[Any]:
    """What every row came to, in the order of the rows, as `Task.join` takes it: the task's decoded scores, and of one
    that writes a `hone.tasks.written.Written`.

    Args:
        done: Called with the number of rows each batch finished.
        stopped: Asked before each batch, and before each token that is written, whether to go no further, which raises
            `hone.predict.generation.generate.Abandoned`.
        together: Of a task that writes: whether other threads ask the engine at the same time.
    """
    if isinstance(task, Writing):
        return write_rows(
            task,
            engine,
            rows,
            score=lambda: _scored(task, engine, rows, stopped=stopped),
            done=done,
            stopped=stopped,
            together=together,
        )
    return _scored(task, engine, rows, done=done, stopped=stopped)


def _scored(
    task: Task,
    engine: Engine,
    rows: Rows,
    *,
    done: Callable[[int], None] | None = None,
    stopped: Callable[[], bool],
) -> list[Any]:

    def score(index: IntArray) -> tuple[IntArray, list[NDArray[np.float32]]]:
        if stopped():
            raise Abandoned("nobody waits for the answers", code="predict.abandoned")
        batch = task.collate(rows, index)
        return index, task.decode(engine.forward(batch), batch)

    scores: list[Any] = [None] * len(rows)
    for index, partials in _each(score, rows.work, engine):
        for row, partial in zip(index, partials, strict=True):
            scores[row] = partial
        if done is not None:
            done(len(index))
    return scores


def _each(score: Callable[[IntArray], Scored], lengths: IntArray, engine: Engine) -> Iterator[Scored]:
    """``score`` of every batch; by workers of one thread each where the engine takes several batches at a time."""
    as_opened(engine.workers)
    if engine.workers == 1:
        yield from map(score, budgeted(lengths, tokens=engine.tokens_at_once))
        return
    share = int(lengths.sum()) // (BATCHES_A_WORKER * engine.workers)
    batches = list(budgeted(lengths, tokens=min(engine.tokens_at_once, max(FEWEST_TOKENS, share))))
    if len(batches) == 1:
        yield from map(score, batches)
    else:
        yield from by_workers(score, batches, workers=engine.workers)

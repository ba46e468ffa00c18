"""Rows through an engine: alike lengths together, so much padded work at once, results in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.predict.engine import Engine
from hone.predict.formats import TOKENS_AT_ONCE
from hone.tasks.protocol import Task
from hone.tasks.rows import IntArray, Rows


def budgeted(lengths: IntArray, *, tokens: int = TOKENS_AT_ONCE) -> Iterator[IntArray]:
    """Batches of row indices, longest first, each at most ``tokens`` after padding (or one row)."""
    order = np.argsort(-lengths, kind="stable")
    at = 0
    while at < len(order):
        rows = max(1, tokens // max(1, int(lengths[order[at]])))
        yield order[at : at + rows]
        at += rows


def score_rows(
    task: Task, engine: Engine, rows: Rows, *, done: Callable[[int], None] | None = None
) -> list[NDArray[np.float32]]:
    """The task's decoded scores of every row, in the order of the rows.

    Args:
        done: Called with the number of rows each batch finished.
    """
    scores: list[Any] = [None] * len(rows)
    for index in budgeted(rows.lengths, tokens=engine.tokens_at_once):
        batch = task.collate(rows, index)
        for row, partial in zip(index, task.decode(engine.forward(batch), batch), strict=True):
            scores[row] = partial
        if done is not None:
            done(len(index))
    return scores

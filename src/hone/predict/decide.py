"""What a task decides on validation beside the weights, fitted by an engine's answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hone.data.dataset import Dataset
from hone.predict.batching import score_rows
from hone.predict.engine import Engine
from hone.predict.formats import EXAMPLES_AT_ONCE
from hone.tasks.encoded import encoded
from hone.tasks.protocol import Columns, Comparing, Deciding, Prediction, Task
from hone.tasks.rows import Rows


def with_decision(task: Task, engine: Engine, validation: Dataset, *, cache: Path) -> Task:
    """``task`` with the decision that is best for what ``engine`` scores on ``validation``; as it is where it has none
    to make."""
    if not isinstance(task, Deciding) or not task.decides:
        return task
    rows, columns = encoded(task, validation, cache=cache), validation.slice(0, len(validation))
    decision = task.fit_decision(answers(task, engine, rows, columns), columns)
    return task if decision is None else task.decided(decision)


def answers(task: Task, engine: Engine, rows: Rows, columns: Columns) -> list[Prediction]:
    """Answers to examples whose rows are encoded already."""
    return task.join(columns, rows, score_rows(task, engine, rows), constants=engine.constants)


def decided_measures(task: Task, engine: Engine, rows: Rows, validation: Dataset) -> dict[str, float | None]:
    """Measures of the answers to ``validation``, whose rows are ``rows``. Where the task makes a decision it is the one
    that is best for these very answers: how good a model is that will have its decision fitted like that. All answers
    are in memory then, and those of a task that compares them; else those to `EXAMPLES_AT_ONCE` examples."""
    deciding = isinstance(task, Deciding) and task.decides
    if not deciding and not isinstance(task, Comparing):
        parts = _parts(rows, validation)
        return task.measures(np.concatenate([task.tally(answers(task, engine, *part), part[1]) for part in parts]))
    columns = validation.slice(0, len(validation))
    predictions = answers(task, engine, rows, columns)
    decision = task.fit_decision(predictions, columns) if isinstance(task, Deciding) and deciding else None
    if isinstance(task, Deciding) and decision is not None:
        task = task.decided(decision)
        assert isinstance(task, Deciding)
        predictions = [task.answered(prediction) for prediction in predictions]
    return task.measures(task.tally(predictions, columns))


def _parts(rows: Rows, dataset: Dataset) -> Iterator[tuple[Rows, Columns]]:
    """The examples of a dataset and their rows, so many at a time."""
    for start in range(0, len(dataset), EXAMPLES_AT_ONCE):
        stop = start + EXAMPLES_AT_ONCE
        begin, end = np.searchsorted(rows.example, (start, stop)).tolist()
        yield Rows(rows.table.slice(begin, end - begin)), dataset.slice(start, stop)

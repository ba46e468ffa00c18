"""What a task decides on validation beside the weights, fitted by an engine's answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hone.data.dataset import Dataset
from hone.predict.batching import score_rows
from hone.predict.engine import Engine
from hone.tasks.encoded import encoded
from hone.tasks.protocol import Columns, Deciding, Prediction, Task
from hone.tasks.rows import Rows


def with_decision(task: Task, engine: Engine, validation: Dataset, *, cache: Path) -> Task:
    """``task`` with the decision that is best for what ``engine`` scores on ``validation``; as it is where it has none
    to make."""
    if not isinstance(task, Deciding):
        return task
    rows, columns = encoded(task, validation, cache=cache), validation.slice(0, len(validation))
    decision = task.fit_decision(answers(task, engine, rows, columns), columns)
    return task if decision is None else task.decided(decision)


def answers(task: Task, engine: Engine, rows: Rows, columns: Columns) -> list[Prediction]:
    """Answers to examples whose rows are encoded already."""
    return task.join(columns, rows, score_rows(task, engine, rows), constants=engine.constants)


def decided_measures(task: Task, predictions: Sequence[Prediction], columns: Columns) -> dict[str, float | None]:
    """Measures of answers, with the decision that is best for these very ones where the task makes any: how good a
    model is that will have its decision fitted like that."""
    decision = task.fit_decision(predictions, columns) if isinstance(task, Deciding) else None
    if isinstance(task, Deciding) and decision is not None:
        task = task.decided(decision)
        assert isinstance(task, Deciding)
        predictions = [task.answered(prediction) for prediction in predictions]
    return task.measures(task.tally(predictions, columns))

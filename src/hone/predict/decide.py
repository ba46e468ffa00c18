"""What a task decides on validation beside the weights, fitted by an engine's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.data.dataset import Dataset
from hone.predict.batching import score_rows
from hone.predict.engine import Engine
from hone.tasks.encoded import encoded
from hone.tasks.protocol import Deciding, Prediction, Task


def with_decision(task: Task, engine: Engine, validation: Dataset, *, cache: Path) -> Task:
    """``task`` with the decision that is best for what ``engine`` scores on ``validation``; as it is where it has none
    to make."""
    if not isinstance(task, Deciding):
        return task
    rows, columns = encoded(task, validation, cache=cache), validation.slice(0, len(validation))
    scores = score_rows(task, engine, rows)
    predictions = task.join(columns, rows, scores, constants=engine.constants)
    return task.decided(task.fit_decision(predictions, columns))


def decided_measures(
    task: Task, predictions: Sequence[Prediction], columns: Mapping[str, Sequence[Any]]
) -> dict[str, float | None]:
    """Measures of answers, with the decision that is best for these very ones where the task makes any: how good a
    model is that will have its decision fitted like that."""
    if isinstance(task, Deciding):
        task = task.decided(task.fit_decision(predictions, columns))
        assert isinstance(task, Deciding)
        predictions = [task.answered(prediction) for prediction in predictions]
    return task.measures(task.tally(predictions, columns))

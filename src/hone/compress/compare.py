"""What a compressed model says and takes beside its parent: answers, measures, agreement, size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import eq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.bench.examples import Example, examples_of
from hone.bundle.bundle import Bundle
from hone.bundle.members import members_of
from hone.core.measures import Measure, MeasureSpec
from hone.metrics.intervals import with_intervals
from hone.predict.batching import score_rows
from hone.predict.predictor import Predictor
from hone.tasks.fields import input_names, inputs_in
from hone.tasks.pairs import over
from hone.tasks.protocol import Prediction, Task, Writing, weighing
from hone.tasks.rows import Rows

RESAMPLES = 1000


def answers(predictor: Predictor, columns: Mapping[str, Sequence[Any]]) -> list[Prediction]:
    """Predictions for columns that may hold more than the task's inputs; by a task that writes also how likely the
    texts are that they hold."""
    task = predictor.task
    if not isinstance(task, Writing) or not any(field.name in columns for field in task.targets):
        return predictor.predict_columns(inputs_in(task, columns))
    rows = Rows(task.encode(columns, purpose="learn"))
    scores = score_rows(task, predictor.engine, rows)
    return task.join(columns, rows, scores, constants=predictor.engine.constants)


def values(
    task: Task, predictions: Sequence[Prediction], columns: Mapping[str, Sequence[Any]]
) -> dict[str, float | None]:
    """The task's measures, without intervals."""
    task = over(task, list(columns))
    return task.measures(task.tally(predictions, columns))


def measures(task: Task, predictions: Sequence[Prediction], columns: Mapping[str, Sequence[Any]]) -> list[Measure]:
    """The task's measures, each with its interval; where rows ask something of their texts, of that too."""
    task = over(task, list(columns))
    return with_intervals(
        task.tally(predictions, columns), task.measures, specs=task.measure_specs, additive=task.additive,
        resamples=RESAMPLES, weighing=weighing(task),
    )  # fmt: skip


def writes(task: Task, predictions: Sequence[Prediction]) -> bool:
    """Whether each of these predictions is a text that was written."""
    return isinstance(task, Writing) and all("text" in prediction for prediction in predictions)


def token_agreement(task: Task, before: Sequence[Prediction], after: Sequence[Prediction]) -> Measure:
    """Of the tokens that either wrote, the share that stand at the same places in both."""
    pairs = [task.tokenizer.encode([one["text"], other["text"]]) for one, other in zip(before, after, strict=True)]
    counts = np.array([[sum(map(eq, *each)), max(map(len, each))] for each in pairs], dtype=np.float64)

    def share(some: NDArray[np.float64]) -> dict[str, float | None]:
        same, tokens = some.sum(axis=0).tolist()
        return {"token_agreement": same / tokens if tokens else 1.0}

    specs = {"token_agreement": MeasureSpec()}
    return with_intervals(counts, share, specs=specs, additive=True, resamples=RESAMPLES)[0]


def texts_of(task: Task, columns: Mapping[str, Sequence[Any]], *, most: int) -> list[Example]:
    """The first examples, to time with."""
    names = inputs_in(task, columns) if isinstance(task, Writing) else input_names(task, columns)
    return examples_of({name: columns[name][:most] for name in names})


def disk_mb(bundle: Bundle) -> float:
    """Size of a bundle's files, and of those of the members that it requires, MB."""
    own = sum(file.bytes for file in bundle.manifest.files.values()) / 1e6
    return own + sum(disk_mb(member) for member in members_of(bundle))

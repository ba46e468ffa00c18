"""What a compressed model says and takes beside its parent: answers, measures, agreement, size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.bench.examples import Example, examples_of
from hone.bundle.bundle import Bundle
from hone.bundle.members import members_of
from hone.core.measures import Measure
from hone.metrics.intervals import wilson, with_intervals
from hone.predict.predictor import Predictor
from hone.tasks.fields import input_names, inputs_in
from hone.tasks.protocol import Prediction, Task

RESAMPLES = 1000


def answers(predictor: Predictor, columns: Mapping[str, Sequence[Any]]) -> list[Prediction]:
    """Predictions for columns that may hold more than the task's inputs."""
    return predictor.predict_columns(inputs_in(predictor.task, columns))


def values(
    task: Task, predictions: Sequence[Prediction], columns: Mapping[str, Sequence[Any]]
) -> dict[str, float | None]:
    """The task's measures, without intervals."""
    return task.measures(task.tally(predictions, columns))


def measures(task: Task, predictions: Sequence[Prediction], columns: Mapping[str, Sequence[Any]]) -> list[Measure]:
    """The task's measures, each with its interval."""
    return with_intervals(
        task.tally(predictions, columns), task.measures, specs=task.measure_specs, additive=task.additive,
        resamples=RESAMPLES,
    )  # fmt: skip


def agreement(task: Task, before: Sequence[Prediction], after: Sequence[Prediction]) -> Measure:
    """Share of the examples on which both say the same."""
    same = sum(task.agrees(one, other) for one, other in zip(before, after, strict=True))
    low, high = wilson(same, len(before))
    return Measure(name="agreement", value=same / len(before), low=low, high=high, n=len(before))


def texts_of(task: Task, columns: Mapping[str, Sequence[Any]], *, most: int) -> list[Example]:
    """The first examples, to time with."""
    return examples_of({name: columns[name][:most] for name in input_names(task, columns)})


def disk_mb(bundle: Bundle) -> float:
    """Size of a bundle's files, and of those of the members that it requires, MB."""
    own = sum(file.bytes for file in bundle.manifest.files.values()) / 1e6
    return own + sum(disk_mb(member) for member in members_of(bundle))

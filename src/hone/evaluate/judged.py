"""Whether written texts are what an attribute of their rows says, by the labels that another bundle gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from hone.bundle.stage import Inputs
from hone.core.errors import Fault, did_you_mean
from hone.evaluate.answering_settings import AnsweringSettings
from hone.metrics.intervals import with_intervals
from hone.predict.predictor import Predictor
from hone.report.report import Cell, Grid
from hone.tasks.answers import written_of
from hone.tasks.fields import holds_pairs
from hone.tasks.protocol import FloatArray, Prediction, Task
from hone.tasks.table import TASKS
from hone.tasks.writing_settings import WritingSettings
from hone.tasks.written_scores import JUDGED, Judged


def labeled(judge: Predictor, predictions: Sequence[Prediction]) -> list[Prediction]:
    """The predictions, each written text with the label that ``judge`` gives it; of conversations every answer."""
    (field,) = judge.task.inputs
    texts = [text for prediction in predictions for text in written_of(prediction)]
    labels = (answer["label"] for answer in judge.each({field.name: texts}))
    return [_labeled(prediction, labels) for prediction in predictions]


def _labeled(prediction: Prediction, labels: Iterator[str]) -> Prediction:
    """A prediction with the next of ``labels``."""
    if "answers" not in prediction:
        return {**prediction, JUDGED: next(labels)}
    each = [{**one, JUDGED: next(labels)} for one in prediction["answers"]]
    return {**prediction, "answers": each, JUDGED: each[-1][JUDGED]}


def by_value(task: Task, tally: FloatArray, values: Sequence[str], *, resamples: int) -> Grid:
    """How many of the texts that were to have each value of the judged attribute have it."""
    (name,) = Judged.specs

    def right(part: FloatArray) -> dict[str, float | None]:
        return {name: task.measures(part)[name]}

    rows: list[list[Cell]] = []
    for value in sorted(set(values)):
        own = np.array([each == value for each in values])
        specs, additive = task.measure_specs, task.additive
        (found,) = with_intervals(tally[own], right, specs=specs, additive=additive, resamples=resamples)
        rows.append([value, found.value, found.low, found.high, int(own.sum())])
    return Grid(columns=["value", name, "low", "high", "count"], rows=rows)


def attribute_of(settings: AnsweringSettings, attributes: Mapping[str, Any]) -> str:
    """The attribute that is judged: the one that is named, or the only one."""
    return settings.attribute or next(iter(attributes), "")


def judge_faults(settings: AnsweringSettings, inputs: Inputs) -> Iterator[Fault]:
    """What keeps the bundle that ``judge`` names from judging an attribute of the task."""
    if settings.judge is None:
        return
    attributes = cast(WritingSettings, inputs.task.settings).attributes if _writes(inputs) else {}
    data = inputs.data.get(settings.on)
    if data is not None and holds_pairs(TASKS[inputs.task.name], data.columns):
        found = f"{settings.judge}, and of {settings.on}, which has pairs of texts, nothing is written"
        yield Fault("recipe.judge", found, "rows of a task that writes", field="judge")
    elif not attributes:
        found = f"{settings.judge}, and {inputs.task.name} with no attributes"
        yield Fault("recipe.judge", found, "a task that writes by attributes", field="judge")
    elif not settings.attribute and len(attributes) > 1:
        found, expected = "no attribute to judge", f"one of {', '.join(attributes)}"
        yield Fault("recipe.judge", found, expected, field="attribute")
    elif settings.attribute and settings.attribute not in attributes:
        fix = did_you_mean(settings.attribute, attributes)
        yield Fault("recipe.judge", f"the unknown attribute {settings.attribute!r}", field="attribute", fix=fix)
    else:
        yield from _labels(attribute_of(settings, attributes), attributes, inputs)


def _labels(attribute: str, attributes: Mapping[str, Sequence[str]], inputs: Inputs) -> Iterator[Fault]:
    for bundle in inputs.others["judge"]:
        record = bundle.manifest.task
        kind = None if record is None else TASKS[record.name]
        if record is None or kind is None or kind.says != "one" or [one.kind for one in kind.inputs] != ["text"]:
            found = f"a judgment by a bundle of {record.name if record else 'no task'}"
            yield Fault("recipe.judge", found, "a bundle that gives a text one label", field="judge")
        elif missing := [value for value in attributes[attribute] if value not in record.labels]:
            found = f"a bundle without the labels {', '.join(missing)}"
            expected = f"one that tells every {attribute}: {', '.join(attributes[attribute])}"
            yield Fault("recipe.judge", found, expected, field="judge")


def _writes(inputs: Inputs) -> bool:
    return isinstance(inputs.task.settings, WritingSettings)

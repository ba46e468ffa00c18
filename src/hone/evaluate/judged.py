"""Whether written texts are what an attribute of their rows says, by the labels that another bundle gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from hone.bundle.stage import Inputs
from hone.core.errors import Fault, did_you_mean
from hone.core.measures import Measure
from hone.evaluate.settings import EvaluateSettings
from hone.metrics.intervals import wilson
from hone.predict.predictor import Predictor
from hone.report.report import Cell, Grid
from hone.tasks.fields import holds_pairs
from hone.tasks.protocol import Columns, Prediction
from hone.tasks.table import TASKS
from hone.tasks.writing_settings import WritingSettings


def judged(
    judge: Predictor, attribute: str, *, predictions: Sequence[Prediction], columns: Columns
) -> tuple[Measure, Grid]:
    """The share of the texts that ``judge`` gives the label which is their row's value of ``attribute``, with Wilson's
    interval; and the same of each value."""
    values = columns[attribute]
    texts = [prediction["text"] for prediction in predictions]
    (field,) = judge.task.inputs
    answers = judge.each({field.name: texts})
    right = [answer["label"] == value for answer, value in zip(answers, values, strict=True)]
    low, high = wilson(sum(right), len(right))
    share = sum(right) / len(right)
    rows: list[list[Cell]] = []
    for value in sorted(set(values)):
        own = [one for one, of in zip(right, values, strict=True) if of == value]
        rows.append([value, sum(own) / len(own), *wilson(sum(own), len(own)), len(own)])
    grid = Grid(columns=["value", "attribute_accuracy", "low", "high", "count"], rows=rows)
    return Measure(name="attribute_accuracy", value=share, low=low, high=high, n=len(right)), grid


def attribute_of(settings: EvaluateSettings, attributes: Mapping[str, Any]) -> str:
    """The attribute that is judged: the one that is named, or the only one."""
    return settings.attribute or next(iter(attributes), "")


def judge_faults(settings: EvaluateSettings, inputs: Inputs) -> Iterator[Fault]:
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

"""Which labels count, where the task says so: decided by the training rows, the others left out and told."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from hone.core.errors import DataError, Fault, did_you_mean
from hone.core.progress import Progress
from hone.data.checks import label_counts, refuse_others
from hone.data.dataset import Dataset
from hone.pipeline.recipe import Recipe
from hone.tasks.settings import AtLeast, LabelSettings
from hone.tasks.table import TASKS

NAMED = 10  # labels that a line of progress names


def with_labels(recipe: Recipe, data: Mapping[str, Dataset], progress: Progress) -> tuple[Recipe, dict[str, Dataset]]:
    """The recipe with its labels decided, and the data with those labels alone; as they are where it asks for none.

    Raises:
        RecipeError: A label that is listed stands in no training row.
        DataError: Rows have other labels, and these are refused; or too few labels are left.
    """
    settings = recipe.task.settings
    if not isinstance(settings, LabelSettings) or settings.labels is None:
        return recipe, dict(data)
    target = TASKS[recipe.task.name].targets[0].name
    unknown = getattr(settings, "unknown_label", None)  # rows that no label fits are learned beside those that count
    labels = _decided(recipe, settings.labels, data.get("train"), unknown=unknown)
    if labels is None:
        return recipe, dict(data)
    apart = [unknown] if unknown and unknown not in labels else []
    decided = settings.model_copy(update={"labels": labels})
    narrowed = {}
    for name, dataset in data.items():
        narrowed[name] = dataset
        if target in dataset.columns:
            narrowed[name] = _narrowed(dataset, target, [*labels, *apart], refuse=settings.other_labels == "refuse")
            _say(narrowed[name], dataset, target, progress)
    task = dataclasses.replace(recipe.task, settings=decided)
    return dataclasses.replace(recipe, task=task), narrowed


def _decided(
    recipe: Recipe, asked: Sequence[str] | AtLeast, train: Dataset | None, *, unknown: str | None
) -> list[str] | None:
    """The labels that count, of which ``unknown`` is none unless it is listed; None where training rows would have to
    tell and there are none."""
    if train is None:
        return None if isinstance(asked, AtLeast) else list(asked)
    counts = label_counts(train, TASKS[recipe.task.name].targets[0].name)
    if not isinstance(asked, AtLeast):
        missing = [label for label in asked if label not in counts]
        if missing:
            faults = [
                Fault("recipe.unknown-label", f"the label {label!r}, which no training row has", field="task.labels",
                      fix=did_you_mean(label, counts))
                for label in missing
            ]  # fmt: skip
            raise recipe.refusal(faults)
        return list(asked)
    labels = sorted(label for label, count in counts.items() if count >= asked.at_least and label != unknown)
    if not labels:
        most, count = counts.most_common(1)[0] if counts else ("none", 0)
        raise DataError(
            f"no label of {train.origin} has {asked.at_least:,} rows; the most, {count:,}, has {most!r}",
            expected="a label with as many",
            fix="Lower task.labels.at_least.",
            code="data.no-label-counts",
        )
    return labels


def _narrowed(dataset: Dataset, target: str, labels: Sequence[str], *, refuse: bool) -> Dataset:
    if refuse:
        refuse_others(
            labels,
            dataset,
            target,
            found="labels that task.labels does not have",
            expected="one of task.labels",
            fix="Add them to task.labels, or leave them out: task.other_labels: drop.",
            code="data.label-other",
        )
        return dataset
    left_out = Counter({label: n for label, n in label_counts(dataset, target).items() if label not in set(labels)})
    if not left_out:
        return dataset
    if dataset.holds(target) == "labels":
        return dataset.narrowed(target, labels, left_out=left_out)
    known = set(labels)
    keep = [np.array([one in known for one in part.to_pylist()], dtype=bool) for part in dataset.parts(target)]
    rows = np.flatnonzero(np.concatenate(keep))
    if not len(rows):
        raise DataError(
            f"no row of {dataset.origin} has a label that counts",
            expected=f"one of {', '.join(labels[:NAMED])}{', ...' if len(labels) > NAMED else ''}",
            fix="Check task.labels.",
            code="data.empty",
        )
    return dataset.take(rows, left_out=left_out)


def _say(narrowed: Dataset, dataset: Dataset, target: str, progress: Progress) -> None:
    if not narrowed.left_out:
        return
    common = sorted(narrowed.left_out.items(), key=lambda item: (-item[1], item[0]))
    names = ", ".join(f"{label} {count:,}" for label, count in common[:NAMED])
    more = f", and {len(common) - NAMED:,} more" if len(common) > NAMED else ""
    gone = len(dataset) - len(narrowed)
    if dataset.holds(target) == "label":
        what = f"{gone:,} of {len(dataset):,} rows, with {len(common):,} labels that do not count"
    else:
        what = f"{sum(narrowed.left_out.values()):,} occurrences of {len(common):,} labels that do not count"
    progress.say(f"{dataset.name}: left out {what}: {names}{more}")

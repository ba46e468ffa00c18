"""The stage ``inspect``: rows, labels, duplicates, leaks, contradictions, lengths, unknown tokens, cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hone.bundle.stage import Inputs, Outcome, Run
from hone.core.measures import Measure
from hone.data import checks
from hone.data.dataset import Dataset
from hone.inspect.settings import InspectSettings
from hone.models.cost import (
    BYTES_A_WEIGHT,
    BYTES_OF_BEST,
    activation_bytes,
    held_bytes,
    size_of,
    training_seconds,
)
from hone.report.catalog import Language, word
from hone.report.report import Cell, Grid, Report
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.rows import IntArray, Rows
from hone.tasks.table import TASKS

HISTOGRAM_BINS = 24
SHOWN = 160  # characters of a text that a finding shows


def inspect(settings: InspectSettings, inputs: Inputs, run: Run) -> Outcome:
    """Look at every split; raises only what makes the data unusable (one class, unknown labels)."""
    kind = TASKS[inputs.task.name]
    field, target = kind.inputs[0].name, kind.targets[0].name
    tables: dict[str, Grid] = {}
    warn = Warnings(run.language)
    tables["splits"] = Grid(
        columns=["split", "rows", "source"],
        rows=[[name, len(dataset), dataset.origin] for name, dataset in inputs.data.items()],
        names="words",
    )
    train = inputs.data.get("train") or next(iter(inputs.data.values()))
    checks.require_two_classes(train, target)
    labels = kind.labels_in({target: train.column(target)})
    for other in inputs.data.values():
        checks.require_known_labels(labels, other, target)
    _labels(inputs.data, target, tables)
    _repeats(inputs.data, field, target, tables, warn, settings)
    _oddities(inputs.data, field, tables, warn)
    if kind.targets[0].kind == "tags":
        _illegal(inputs.data, target, warn)
    measures: list[Measure] = []
    if inputs.base is not None:
        settled = kind.settled(inputs.task.settings, train)
        task = make_task(inputs.task.name, settled, labels=labels, folder=inputs.base.folder)
        rows = {name: encoded(task, dataset, cache=run.cache) for name, dataset in inputs.data.items()}
        measures += _tokens(task, rows, inputs, tables, warn, settings)
        if "finetune" in inputs.plan and "train" in rows:
            measures += _cost(inputs, rows["train"], tables)
    facts: dict[str, Cell] = {"task": inputs.task.name, "labels": len(labels), "rows": len(train)}
    if inputs.base is not None:
        facts["base"] = inputs.base.name
    return Outcome(Report(stage="inspect", measures=measures, tables=tables, warnings=warn.said, facts=facts))


class Warnings:
    """Sentences the user must not miss, in the reader's language."""

    def __init__(self, language: Language) -> None:
        self.said: list[str] = []
        self._language: Language = language

    def __call__(self, key: str, **values: object) -> None:
        """Say the catalog's sentence ``warn.KEY`` with its places filled."""
        self.said.append(word(f"warn.{key}", self._language, **values))


def _labels(data: Mapping[str, Dataset], target: str, tables: dict[str, Grid]) -> None:
    counts = {name: checks.label_counts(dataset, target) for name, dataset in data.items()}
    first = next(iter(counts.values()))
    names = sorted(set().union(*counts.values()), key=lambda label: (-first[label], label))
    tables["label_histogram"] = Grid(
        columns=["label", *counts],
        rows=[[label, *(counts[split][label] for split in counts)] for label in names],
        show="bars",
    )


def _repeats(
    data: Mapping[str, Dataset],
    field: str,
    target: str,
    tables: dict[str, Grid],
    warn: Warnings,
    settings: InspectSettings,
) -> None:
    """Duplicates within splits, leaks across them, contradictory labels."""
    rows: list[list[Cell]] = []
    for name, dataset in data.items():
        count = len(checks.duplicates(dataset, field))
        rows.append([name, count, count / len(dataset)])
    tables["duplicates"] = Grid(columns=["split", "count", "share"], rows=rows, names="words")
    leaks: list[list[Cell]] = []
    for one, other in itertools.combinations(data, 2):
        count = len(checks.leaking(data[one], data[other], field))
        leaks.append([f"{one} -> {other}", count, count / len(data[other])])
        if count:
            warn("leaked", count=f"{count:,}", one=one, other=other)
    tables["leakage"] = Grid(columns=["splits", "count", "share"], rows=leaks)
    found: list[list[Cell]] = []
    total = 0
    for name, dataset in data.items():
        groups = checks.contradictions(dataset, field, target)
        total += len(groups)
        for group in groups[: settings.examples]:
            first = dataset.row(group[0])
            answers = sorted({_short(dataset.row(i)[target]) for i in group})
            places = ", ".join(str(dataset.place(i)[1]) for i in group[:5])
            found.append([_short(first[field]), name, places, " | ".join(answers)])
    if total:
        warn("contradictions", count=f"{total:,}")
    tables["contradictions"] = Grid(columns=["text", "split", "lines", "label"], rows=found)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else " ".join(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + " […]"


def _oddities(data: Mapping[str, Dataset], field: str, tables: dict[str, Grid], warn: Warnings) -> None:
    counts = {name: checks.odd_texts(dataset, field) for name, dataset in data.items()}
    kinds = list(next(iter(counts.values())))
    tables["odd_texts"] = Grid(
        columns=["kind", *counts],
        rows=[[kind, *(counts[split][kind] for split in counts)] for kind in kinds],
        names="words",
    )
    for name, found in counts.items():
        if found["empty"]:
            warn("empty", count=f"{found['empty']:,}", split=name)


def _illegal(data: Mapping[str, Dataset], target: str, warn: Warnings) -> None:
    for name, dataset in data.items():
        found = checks.illegal_bio(dataset, target)
        if found:
            row, _, tag = found[0]
            line = dataset.place(row)[1] or row + 1
            warn("illegal_bio", count=f"{len(found):,}", split=name, tag=tag, line=line)


def _tokens(
    task: Task,
    rows: Mapping[str, Rows],
    inputs: Inputs,
    tables: dict[str, Grid],
    warn: Warnings,
    settings: InspectSettings,
) -> list[Measure]:
    measures: list[Measure] = []
    lengths = {name: np.bincount(part.example, weights=part.lengths).astype(int) for name, part in rows.items()}
    longest = max(int(values.max()) for values in lengths.values())
    shortest = min(int(values.min()) for values in lengths.values())
    width = -(-(longest + 1 - shortest) // HISTOGRAM_BINS)
    edges = np.arange(shortest, longest + width + 1, width)
    counts = {name: np.histogram(values, edges)[0] for name, values in lengths.items()}
    tables["token_lengths"] = Grid(
        columns=["tokens", *counts],
        rows=[
            [f"{low}-{high - 1}" if width > 1 else f"{low}", *(int(counts[name][i]) for name in counts)]
            for i, (low, high) in enumerate(itertools.pairwise(edges.tolist()))
        ],
        show="histogram",
    )
    strange: dict[str, float] = {}
    for name, part in rows.items():
        cut = float(np.mean(_of_examples(part, part.scalar("truncated"))))
        measures.append(Measure(name="truncated_share", value=cut, n=len(lengths[name]), better="lower", slice=name))
        if cut:
            warn("long", share=f"{cut:.1%}", split=name, limit=task.max_tokens)
        ids, _ = part.ragged("input_ids")
        unknown = float(np.mean(ids == task.tokenizer.unk_id)) if task.tokenizer.unk_id is not None else 0.0
        measures.append(Measure(name="unknown_share", value=unknown, n=len(ids), better="lower", slice=name))
        if unknown >= settings.unknown_share:
            strange[name] = unknown
    if strange and inputs.base is not None:
        shares = ", ".join(f"{share:.1%} ({name})" for name, share in strange.items())
        warn("unknown", base=repr(inputs.base.name), shares=shares)
    return measures


def _of_examples(rows: Rows, values: IntArray) -> IntArray:
    out = np.zeros(int(rows.example.max()) + 1, dtype=np.int64)
    np.maximum.at(out, rows.example, values)
    return out


def _cost(inputs: Inputs, rows: Rows, tables: dict[str, Grid]) -> list[Measure]:
    """What the training that the recipe asks for would take here: time, memory, steps."""
    assert inputs.base is not None
    plan: Any = inputs.plan["finetune"]
    size = size_of(inputs.base.folder)
    batch = plan.per_device_train_batch_size
    steps = math.ceil(math.ceil(len(rows) / batch) / plan.gradient_accumulation_steps * plan.num_train_epochs)
    steps = min(steps, plan.max_steps or steps)
    tokens = int(rows.lengths.sum() * plan.num_train_epochs)
    longest = int(rows.lengths.max())
    mean = float((rows.lengths.astype(float) ** 2).sum() / rows.lengths.sum())
    seconds = training_seconds(size, tokens=tokens, length=mean, steps=steps)
    kept = BYTES_OF_BEST if plan.keep == "best" and plan.eval_strategy != "no" else 0
    states = size.parameters * (BYTES_A_WEIGHT + kept)
    activations = activation_bytes(size, tokens=batch * longest, length=longest)
    memory = held_bytes() + states + activations
    tables["cost"] = Grid(
        columns=["what", "value"],
        rows=[
            ["parameters", size.parameters],
            ["training_tokens", tokens],
            ["steps", steps],
            ["states_mb", round(states / 1e6)],
            ["activations_mb", round(activations / 1e6)],
        ],
        names="words",
    )
    return [
        Measure(name="estimated_training_time", value=seconds, unit="s", better="lower"),
        Measure(name="estimated_memory", value=memory / 1e6, unit="MB", better="lower"),
    ]

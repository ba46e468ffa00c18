"""A fine-tuning that learns text without labels beside its rows: how it is made ready, and what it cannot have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hone.bundle.stage import CORPUS, Inputs, Run
from hone.core.errors import Fault
from hone.models.heads import HEADS, HeadSpec
from hone.models.model import read_limit
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.documents import TEXT, Documents
from hone.tasks.objectives.joint import Joint
from hone.tasks.objectives.mixture import mixed
from hone.tasks.objectives.pretraining import Pretraining, text_rows
from hone.tasks.objectives.segmenting import segmenter_faults, segmenter_of
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.protocol import Objective, Task
from hone.tasks.table import TASKS
from hone.train.pretrain_faults import base_faults, noise_faults, objective_faults
from hone.train.processes import Processes
from hone.train.settings import FinetuneSettings
from hone.train.technique_faults import wanting_among_heads
from hone.train.techniques import TechniqueEntry


def learning_of(settings: FinetuneSettings, folder: Path, inputs: Inputs, *, max_tokens: int) -> Pretraining | None:
    """The objectives beside the task, over the base in ``folder``."""
    if settings.joint is None:
        return None
    limit = min(max_tokens, read_limit(folder))
    segmenter = segmenter_of(settings.joint.segmenter, inputs.data[settings.joint.on])
    documents = Documents(load_tokenizer(folder), max_tokens=limit, segmenter=segmenter)
    return Pretraining(settings.joint.objective, documents)


def others_of(learning: Pretraining | None) -> Mapping[str, HeadSpec]:
    """Their heads, by name."""
    return {} if learning is None else {part.name: part.head for part in learning.parts.values()}


def jointly(
    task: Task,
    learning: Pretraining | None,
    *,
    settings: FinetuneSettings,
    inputs: Inputs,
    run: Run,
) -> Objective:
    """What the loop trains, in so many ``steps``: the task, or both."""
    joint = settings.joint
    if joint is None or learning is None:
        return task
    with Processes(run.place).in_turn():
        text = text_rows(learning, inputs.data[joint.on], cache=run.cache, progress=run.progress)
    corpus = inputs.corpus if joint.on == CORPUS else None
    passes = None if corpus is None else mixed(corpus.of(inputs.data[CORPUS]), text, seed=run.seed)
    return Joint(task, learning, text, weight=joint.weight, schedule=joint.schedule, passes=passes)


def joint_faults(settings: FinetuneSettings, inputs: Inputs) -> Iterator[Fault]:
    """What keeps a task from being learned beside these objectives."""
    if settings.joint is None:
        return
    entries = [OBJECTIVES[value["name"]] for value in settings.joint.objective]
    yield from objective_faults(entries, under="joint.")
    yield from noise_faults(settings, entries, inputs)
    yield from (replace(fault, field=f"joint.{fault.field}") for fault in base_faults(entries, inputs.base))
    silent = segmenter_faults(settings.joint.segmenter, settings.joint.objective)
    yield from (replace(fault, field=f"joint.{fault.field}") for fault in silent)
    on = settings.joint.on
    if on not in inputs.data:
        fix = f"Name a source under data: {on}: FILE"
        yield Fault("recipe.no-split", f"no data named {on!r}", "text without labels", field="joint.on", fix=fix)
    elif TEXT not in inputs.data[on].columns:
        found = f"{on}, whose rows have no column {TEXT}"
        yield Fault("recipe.joint", found, "on: corpus", field="joint.on")
    if settings.method["name"] != "full" or settings.freeze_layers:
        found = f"method {settings.method['name']} with freeze_layers {settings.freeze_layers}"
        yield Fault("recipe.joint", found, "method: full, freeze_layers: 0", field="joint")
    kind: Any = TASKS[inputs.task.name]
    if hasattr(kind, "once"):
        yield Fault("recipe.joint", f"{kind.name}, whose batches are compared as one", "another task", field="joint")
    own = _own_class(inputs)
    apart = [entry.name for entry in entries if HEADS[entry.kind.head.kind].gives == "logits" and own]
    if apart:
        found = f"{apart[0]} and a task with a head of transformers' own: each wants the base in a class of its own"
        yield Fault("recipe.joint", found, "a head of hone's, such as pooling: mean", field="joint")


def wanting_beside_text(entry: TechniqueEntry, settings: FinetuneSettings) -> Iterator[tuple[str, str]]:
    """What of text that is learned beside the rows keeps a technique from doing anything, and what would let it."""
    if settings.joint is None:
        return
    if entry.needs & {"answers", "label"}:
        yield "joint, whose scores are not those of labels alone", "one of them"
    yield from wanting_among_heads(entry, "joint, which reads texts beside the rows")


def _own_class(inputs: Inputs) -> bool:
    settings = inputs.task.settings
    asked = (getattr(settings, "pooling", None) == "cls", getattr(settings, "plain_head", False))
    return any(asked) or TASKS[inputs.task.name].says in ("tokens", "text", "choice")

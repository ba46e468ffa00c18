"""What the training that a recipe asks for would take here: time, memory, steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from hone.bundle.stage import Inputs
from hone.core.choice import opened
from hone.core.measures import Measure
from hone.core.processes import place
from hone.models.adapters.held_base import back_seconds, spared_bytes
from hone.models.adapters.method import shapes_of
from hone.models.adapters.table import METHODS
from hone.models.cost import (
    OTHERS,
    TURNS_REACHED,
    Size,
    activation_bytes,
    divided_bytes,
    held_bytes,
    matrix_rate,
    scores_bytes,
    size_of,
    state_bytes,
    training_seconds,
    turning,
)
from hone.report.report import Cell, Grid
from hone.tasks.fields import shape_of
from hone.tasks.rows import TARGET, IntArray, Rows
from hone.tasks.sampling import COUNTED, by_label
from hone.tasks.table import TASKS


def training_cost(inputs: Inputs, rows: Rows, tables: dict[str, Grid], *, texts: int) -> list[Measure]:
    """What the training that the recipe asks for would take here, where ``texts`` are read for each row: time, memory,
    steps."""
    assert inputs.base is not None
    plan: Any = inputs.plan["finetune"]
    size = size_of(inputs.base.folder)
    if plan.base_bits is not None:  # through transformers' own layers
        size = replace(size, pace=OTHERS)
    lengths = _taken(inputs, rows)
    per_epoch, steps = plan.steps(lengths)
    tokens = int(texts * lengths.sum() * (steps / per_epoch))
    longest = int(rows.lengths.max())
    batch = texts * max(plan.per_device_train_batch_tokens or _heaviest(rows, plan, padded=not size.ours), longest)
    mean = float((lengths.astype(float) ** 2).sum() / lengths.sum())
    method, chosen = opened(plan.method, METHODS)
    shapes = None if method.name == "full" else shapes_of(inputs.base.folder)
    said = method.frozen(chosen, size.layers)
    frozen, once = min(plan.freeze_layers if said is None else said, size.layers), int(rows.lengths.sum())
    learns = None if shapes is None else method.learning(chosen, shapes)
    load, (turned, update) = plan.load, _turned(inputs, size, frozen=frozen)
    seconds = steps * turned + training_seconds(
        size, tokens=tokens, length=mean, steps=steps, frozen=frozen, first=once, passes=load.passes, learns=learns
    )
    states = state_bytes(
        size,
        optim=plan.optim,
        rows=None if _divided(plan) else int(np.count_nonzero(rows.counts("input_ids"))),
        frozen=frozen,
        keeps_best=plan.keep == "best" and plan.eval_strategy != "no",
        beside=load.copies,
        learns=learns,
    )
    if plan.base_bits is not None and shapes is not None:
        states -= spared_bytes(shapes, plan.base_bits)
        seconds += _brought_back(steps, plan) * back_seconds(shapes, plan.base_bits)
    states = _own_part(states, size, plan)
    activations = load.held * activation_bytes(
        size, tokens=batch, length=longest, frozen=frozen, recomputed=load.recomputes
    )
    scores = scores_bytes(inputs.base.folder, places=places) if (places := _to_write(rows, plan)) else 0
    memory = held_bytes() + states + max(activations + scores, update)  # which are over when weights are moved
    trained = _learned(size, frozen) if learns is None else learns
    counts = {"parameters": size.parameters, "trained_parameters": trained, "training_tokens": tokens, "steps": steps}
    held = {"states_mb": states, "activations_mb": activations, "scores_mb": scores, "update_mb": update}
    tables["cost"] = _grid(counts, held)
    return [
        Measure(name="estimated_training_time", value=seconds, unit="s", better="lower"),
        Measure(name="estimated_memory", value=memory / 1e6, unit="MB", better="lower"),
    ]


def _turned(inputs: Inputs, size: Size, *, frozen: int) -> tuple[float, float]:
    """Seconds of a step, and bytes, that ``muon`` takes beside AdamW where the base's own matrices learn."""
    plan: Any = inputs.plan["finetune"]
    assert inputs.base is not None
    if plan.optim != "muon" or plan.method["name"] not in ("full", "top-n"):  # of others no such matrix learns
        return 0.0, 0.0
    flops, held = turning(shapes_of(inputs.base.folder).linear.values())
    share = (size.layers - frozen) / max(1, size.layers)
    return share * flops / (TURNS_REACHED * matrix_rate()[0]), share * held


def _divided(plan: Any) -> bool:
    """Whether several processes divide the weights among them."""
    return plan.parallel is not None and place().count > 1


def _own_part(states: int, size: Size, plan: Any) -> int:
    """Bytes of the states that this process holds."""
    if not _divided(plan):
        return states
    gathered: Literal["unit", "all"] = "unit" if plan.parallel.shard == "full" else "all"
    ways = plan.parallel.tensor
    return round(divided_bytes(states, size, processes=place().count, tensor=ways, gathered=gathered))


def _grid(counts: Mapping[str, int], kept: Mapping[str, float]) -> Grid:
    """Counts, and bytes in millions; what takes none is left out."""
    rows: list[list[Cell]] = [[name, value] for name, value in counts.items()]
    rows += [[name, round(value / 1e6)] for name, value in kept.items() if value]
    return Grid(columns=["what", "value"], rows=rows, names="words")


def _brought_back(steps: int, plan: Any) -> float:
    """How often a training brings a base in fewer bits back to float32: once on each way, and forward once more where
    layers are computed again."""
    passes: float = plan.gradient_accumulation_steps * plan.load.passes
    return steps * passes * (3 if plan.load.recomputes else 2)


def _taken(inputs: Inputs, rows: Rows) -> IntArray:
    """Tokens of each row that an epoch has, int64: of some rows several times where the recipe has rare labels come
    oftener."""
    plan: Any = inputs.plan["finetune"]
    train, chosen = inputs.data["train"], plan.sampling
    target = shape_of(TASKS[inputs.task.name], train.columns).targets[:1]
    if chosen is None or not target or target[0].kind not in COUNTED:  # what it cannot have is told elsewhere
        return rows.lengths
    passes = by_label(rows, train, target[0], power=chosen.power, most=chosen.max_repeats, seed=0)
    return rows.lengths[passes.epoch(0)]


def _learned(size: Size, frozen: int) -> int:
    """Weights of a backbone that learn while its lowest layers do not."""
    return size.learning(frozen=frozen) + (0 if frozen else size.embedding)


def _to_write(rows: Rows, plan: Any) -> int:
    """Most tokens to write in one batch, each of which is told among the whole vocabulary; 0 of rows to read."""
    if TARGET not in rows.table.column_names:
        return 0
    longest = np.sort(np.diff(rows.lists(TARGET).offsets))[-plan.per_device_train_batch_size :]
    return int(min(longest.sum(), plan.per_device_train_batch_tokens or longest.sum()))


def _heaviest(rows: Rows, plan: Any, *, padded: bool) -> int:
    """Tokens of the batch of the longest rows, with the padding that is computed."""
    longest = np.sort(rows.lengths)[-plan.per_device_train_batch_size :]
    return int(len(longest) * longest[-1] if padded else longest.sum())

"""Which of the sets of fields that a task may learn from a data set has; no torch."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from typing import Any

from hone.data.fields import Field, Shape, required

CHOSEN, REJECTED = Field("chosen", "written"), Field("rejected", "written")
PAIRS, VALIDATION_PAIRS = "pairs", "validation_pairs"  # names of data with two texts a row, of which one is better


def shape_of(task: Any, columns: Container[str]) -> Shape:
    """The first shape of a task, or of its class, whose required fields are among ``columns``; else the first whose
    required inputs are, else the usual one. Of rows with two texts of which one is better it is one of theirs."""
    shapes: Sequence[Shape] = pair_shapes(task) if holds_pairs(task, columns) else task.shapes()
    whole = (one for one in shapes if all(name in columns for name in required(one.fields)))
    told = (one for one in shapes if all(name in columns for name in required(one.inputs)))
    return next(itertools.chain(whole, told), shapes[0])


def pair_shapes(task: Any) -> tuple[Shape, ...]:
    """The fields of rows with two texts, of which one is better: the task's own inputs, or ``prompt`` for what is read.
    None where the task does not write."""
    if task.says != "text":
        return ()
    choices: tuple[tuple[Field, ...], ...] = getattr(task, "input_choices", (task.inputs,))
    own = choices[0]
    if own[0].kind == "turns":
        return tuple(Shape(fields, (CHOSEN, REJECTED)) for fields in choices)
    prompt = (Field("prompt", "text"),)
    both = (CHOSEN, REJECTED)
    return (Shape(own, both), *([Shape(prompt, both)] if len(own) == 1 and own != prompt else []))


def as_read(task: Any, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """``columns`` with what is read under the name that the task has for it, where they call it ``prompt``, or give
    conversations their other name."""
    own, *others = (shape.inputs[0].name for shape in pair_shapes(task))
    called = next((name for name in others if name in columns), own)
    if own in columns:
        return dict(columns)
    return {own if name == called else name: values for name, values in columns.items()}


def holds_pairs(task: Any, columns: Container[str]) -> bool:
    """Whether rows with ``columns`` have two texts each, of which one is better, to a task, or its class."""
    return task.says == "text" and CHOSEN.name in columns and REJECTED.name in columns


def shapes_of_data(task: Any, name: str) -> tuple[Shape, ...]:
    """The shapes that data called ``name`` may have, those of pairs first: rows that have both texts are pairs,
    whatever else they have. What is learned from and what is chosen by are of one kind."""
    if name in (PAIRS, VALIDATION_PAIRS):
        return pair_shapes(task) or tuple(task.shapes())
    return (() if name in ("train", "validation") else pair_shapes(task)) + tuple(task.shapes())


def input_names(task: Any, columns: Container[str]) -> list[str]:
    """The inputs that every row of a data set with ``columns`` has."""
    return required(shape_of(task, columns).inputs)


def inputs_in(task: Any, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """What of ``columns`` are inputs."""
    return {field.name: columns[field.name] for field in shape_of(task, columns).inputs if field.name in columns}

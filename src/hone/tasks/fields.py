"""Which of the sets of fields that a task may learn from a data set has; no torch."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hone.data.fields import Field, Shape, required

CHOSEN, REJECTED = Field("chosen", "written"), Field("rejected", "written")
PAIRS, VALIDATION_PAIRS = "pairs", "validation_pairs"  # names of data with two texts a row, of which one is better


def shape_of(task: Any, columns: Container[str], settings: Any = None) -> Shape:
    """The first shape of a task, or of its class, whose required fields are among ``columns``; else the first whose
    required inputs are, else the usual one. Of rows with two texts of which one is better it is one of theirs.

    Args:
        settings: Of the task, which say what its rows have besides; None: its own.
    """
    usual: Sequence[Shape] = pair_shapes(task) if holds_pairs(task, columns) else task.shapes()
    shapes = controlled(usual, getattr(task, "settings", None) if settings is None else settings)
    whole = (one for one in shapes if all(name in columns for name in required(one.fields)))
    told = (one for one in shapes if all(name in columns for name in required(one.inputs)))
    return next(itertools.chain(whole, told), shapes[0])


def pair_shapes(task: Any) -> tuple[Shape, ...]:
    """The fields of rows with two texts, of which one is better: the task's own inputs, or ``prompt`` for what is read,
    a text or turns. None where the task does not write."""
    if task.says != "text":
        return ()
    choices = list(_input_choices(task))
    for kind in ("text", "turns"):  # any input of one field may be called so
        if any(len(fields) == 1 and fields[0].kind == kind for fields in choices):
            choices.append((Field("prompt", kind),))
    return tuple(Shape(fields, (CHOSEN, REJECTED)) for fields in dict.fromkeys(choices))


def as_read(task: Any, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """``columns`` with what is read under a name that the task has for it, where they call it ``prompt``."""
    prompts = columns.get("prompt", ())
    kind = "text" if not len(prompts) or isinstance(prompts[0], str) else "turns"
    names = [fields[0].name for fields in _input_choices(task) if fields[0].kind == kind]
    if "prompt" in names or not names:
        return dict(columns)
    return {names[0] if name == "prompt" else name: values for name, values in columns.items()}


def holds_pairs(task: Any, columns: Container[str]) -> bool:
    """Whether rows with ``columns`` have two texts each, of which one is better, to a task, or its class."""
    return task.says == "text" and CHOSEN.name in columns and REJECTED.name in columns


def shapes_of_data(task: Any, name: str, settings: Any) -> tuple[Shape, ...]:
    """The shapes that data called ``name`` may have, those of pairs first: rows that have both texts are pairs,
    whatever else they have. What is learned from and what is chosen by are of one kind. ``settings`` are the task's."""
    if name in (PAIRS, VALIDATION_PAIRS):
        return controlled(pair_shapes(task) or task.shapes(), settings)
    both = (() if name in ("train", "validation") else pair_shapes(task)) + tuple(task.shapes())
    return controlled(both, settings)


def controlled(shapes: Iterable[Shape], settings: Any) -> tuple[Shape, ...]:
    """The shapes with what rows say of the text to be written, by a task's ``settings``."""
    controls: tuple[Field, ...] = () if settings is None else settings.controls
    return tuple(replace(shape, controls=controls) for shape in shapes)


def choices_of(task: Any) -> tuple[tuple[Field, ...], ...]:
    """The sets of fields that a task answers, the usual one first, each with what a row says of its text. Where nothing
    has to be read, that alone may be answered, too."""
    controls = task.settings.controls
    alone = [controls] if task.inputs and not required(task.inputs) and required(controls) else []
    return tuple((*fields, *controls) for fields in _input_choices(task)) + tuple(alone)


def _input_choices(task: Any) -> tuple[tuple[Field, ...], ...]:
    return getattr(task, "input_choices", (task.inputs,))


def input_names(task: Any, columns: Container[str]) -> list[str]:
    """What every row of a data set with ``columns`` has of that which an answer is to."""
    return required(shape_of(task, columns).given)


def inputs_in(task: Any, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """What of ``columns`` an answer is to: inputs, and what a row says of its text."""
    return {field.name: columns[field.name] for field in shape_of(task, columns).given if field.name in columns}

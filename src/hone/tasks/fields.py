"""Which of the sets of fields that a task may learn from a data set has; no torch."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from hone.data.fields import Shape, required


def shape_of(task: Any, columns: Container[str]) -> Shape:
    """The first shape of a task, or of its class, whose required inputs are among ``columns``, else the usual one."""
    shapes = task.shapes()
    found: Shape = next((one for one in shapes if all(name in columns for name in required(one.inputs))), shapes[0])
    return found


def input_names(task: Any, columns: Container[str]) -> list[str]:
    """The inputs that every row of a data set with ``columns`` has."""
    return required(shape_of(task, columns).inputs)


def inputs_in(task: Any, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """What of ``columns`` are inputs."""
    return {field.name: columns[field.name] for field in shape_of(task, columns).inputs if field.name in columns}

"""What is timed: texts, or pairs of them and conversations as objects, as `Predictor.predict` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.data.turns import conversations_in

Example = str | dict[str, Any]


def examples_of(columns: Mapping[str, Sequence[Any]]) -> list[Example]:
    """The examples of a task's input columns; words that stand alone are joined by spaces."""
    if len(columns) == 1 and conversations_in(columns) is None:
        [values] = columns.values()
        return [one if isinstance(one, str) else " ".join(one) for one in values]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def sides(examples: Sequence[Example]) -> tuple[list[str], ...]:
    """The texts, or the first texts and the second ones."""
    pairs = [(one,) if isinstance(one, str) else tuple(one.values()) for one in examples]
    return tuple(list(side) for side in zip(*pairs, strict=True))

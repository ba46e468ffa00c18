"""What is timed: texts, or pairs of them as objects, as `Predictor.predict` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Example = str | dict[str, str]


def examples_of(columns: Mapping[str, Sequence[Any]]) -> list[Example]:
    """The examples of a task's input columns; words are joined by spaces."""
    read = {
        name: [one if isinstance(one, str) else " ".join(one) for one in values] for name, values in columns.items()
    }
    if len(read) == 1:
        return list(next(iter(read.values())))
    return [dict(zip(read, texts, strict=True)) for texts in zip(*read.values(), strict=True)]


def sides(examples: Sequence[Example]) -> tuple[list[str], ...]:
    """The texts, or the first texts and the second ones."""
    pairs = [(one,) if isinstance(one, str) else tuple(one.values()) for one in examples]
    return tuple(list(side) for side in zip(*pairs, strict=True))

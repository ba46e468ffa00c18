"""`Filter`: an entry of the table, a measure of a text and the bounds within which a document is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import model_validator

from hone.core.settings import Settings

Measured = Callable[[str], float | None]


class Bounds(Settings):
    """Within which what a filter measures must lie, both included.

    Attributes:
        min, max: None: no bound on that side.
    """

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"a min that is not above max, not {self.min:g} and {self.max:g}")
        return self

    def hold(self, value: float | None) -> bool:
        """Whether a document of that value is kept; one that the measure says nothing of is."""
        if value is None:
            return True
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


@dataclass(frozen=True)
class Filter:
    """An entry of the table.

    Attributes:
        settings: `Bounds`, or a model of the filter's own that adds to them.
        measure: Makes, of settings, the measure: a text -> a number, or None where it says nothing of such a text.
    """

    settings: type[Bounds]
    measure: Callable[[Any], Measured]

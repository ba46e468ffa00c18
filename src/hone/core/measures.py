"""`Measure`: a number with its interval, its n and its unit, or the reason why there is none."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

Better = Literal["higher", "lower"]
Interval = Literal["wilson", "bootstrap", "none"]


class MeasureSpec(BaseModel):
    """What a task says of one of its measures.

    Attributes:
        unit: ``share`` (0 to 1), ``count``, ``ms``, ...
        better: Which direction is an improvement; None when neither is.
        interval: How its 95% interval is found: Wilson's score interval for a share of independent trials, the
            bootstrap over examples otherwise.
        needs: The setting of the task without which there is no such measure; empty where there always is.
        of_tokens: Whether it counts in tokens, so that it says nothing beside one of another tokenizer.
        counted: Of a measure of some of the examples: the column of the tally that is 1 for these and 0 for the others.
    """

    model_config = ConfigDict(frozen=True)
    unit: str = "share"
    better: Better | None = "higher"
    interval: Interval = "bootstrap"
    needs: str = ""
    of_tokens: bool = False
    counted: int | None = None


class Measure(BaseModel):
    """One measured number.

    Attributes:
        name: The field's standard term, such as ``accuracy`` or ``macro_f1``.
        value: The number, or None with a ``reason``.
        low, high: Bounds of the interval at ``level``; None where no interval is defined.
        n: How many examples it rests on.
        slice: Which part of the data, such as ``tokens 0-16``; empty for all of it.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    value: float | None
    reason: str = ""
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    n: int = 0
    unit: str = "share"
    better: Better | None = "higher"
    slice: str = ""

    @model_validator(mode="after")
    def _say_why_there_is_none(self) -> Measure:
        if self.value is None and not self.reason:
            raise ValueError(f"measure {self.name!r} has no value and gives no reason")
        return self

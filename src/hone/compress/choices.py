"""Settings of the method that tries others; no torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hone.compress.settings import METHODS, Count, Method, Positive
from hone.core.choice import all_decided, each
from hone.core.settings import Settings


class SearchSettings(Settings):
    """Settings of the method ``search``: combinations of methods, and of those within a budget the best.

    Attributes:
        steps: What may be done, in this order; of each step one of its methods is taken, or none. Every way of taking
            them is tried: three steps of one method are seven combinations. A method is a name or ``{name: ..., ...}``.
        max_latency_ms: Budget: median milliseconds of one text asked alone, on this machine.
        max_size_mb: Budget: MB of the bundle on disk.
        timed_texts: How many texts are asked alone, in three rounds.
    """

    steps: Annotated[list[list[Any]], Field(min_length=1, validate_default=True)] = [
        ["distill"],
        ["vocabulary"],
        ["int8"],
    ]
    max_latency_ms: Positive | None = None
    max_size_mb: Positive | None = None
    timed_texts: Count = 60

    @field_validator("steps")
    @classmethod
    def _methods(cls, value: list[list[Any]]) -> list[list[dict[str, Any]]]:
        """Each method's name and all its settings."""
        if not all(value):
            raise ValueError("at least one method in each step")
        named = [method.get("name") if isinstance(method, dict) else method for step in value for method in step]
        if "search" in named:
            raise ValueError("other methods than search")
        return each(value, lambda step: all_decided(step, METHODS))

    @model_validator(mode="after")
    def _budget(self) -> SearchSettings:
        if self.max_latency_ms is None and self.max_size_mb is None:
            raise ValueError("a budget: max_latency_ms, max_size_mb or both")
        return self


SEARCH = Method("search", SearchSettings, "hone.compress.search:search")

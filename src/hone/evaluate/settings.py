"""Settings of ``evaluate``; no torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from hone.bundle.stage import Stage
from hone.core.settings import Settings


class EvaluateSettings(Settings):
    """Settings of the stage ``evaluate``.

    Attributes:
        on: The split it reads.
        worst: How many of the worst mistakes the report shows; all are in ``bad_cases.jsonl``.
        bootstrap_resamples: Resamples behind the bootstrap intervals.
        decoding: How texts are written, where that is not as the bundle says (`hone.tasks.decoding`).
        length_edges: Token counts at which the slices by length begin, rising; shorter texts are in the first.
    """

    on: str = "test"
    worst: Annotated[int, Field(ge=0)] = 25
    bootstrap_resamples: Annotated[int, Field(ge=100)] = 1000
    decoding: dict[str, Any] = {}
    length_edges: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [1, 9, 17, 33, 65, 129, 257]

    @model_validator(mode="after")
    def _edges_rise(self) -> EvaluateSettings:
        if sorted(set(self.length_edges)) != self.length_edges:
            raise ValueError("length_edges that rise")
        return self


EVALUATE = Stage(
    kind="evaluate",
    settings=EvaluateSettings,
    reads=("train", "validation", "test"),
    changes="nothing",
    work="hone.evaluate.evaluate:evaluate",
    check="hone.evaluate.decoding:decoding_faults",
    needs_bundle=True,
)

"""Settings of ``evaluate``; no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hone.bundle.stage import Stage
from hone.evaluate.answering_settings import OTHERS, AnsweringSettings


class EvaluateSettings(AnsweringSettings):
    """Settings of the stage ``evaluate``. Of pairs of texts ``reference`` None is the bundle that ``prefer`` began with
    in this very run; where there is none, only likelihoods are measured.

    Attributes:
        worst: How many of the worst mistakes the report shows; all are in ``bad_cases.jsonl``.
        bootstrap_resamples: Resamples behind the bootstrap intervals.
        length_edges: Token counts at which the slices by length begin, rising; shorter texts are in the first.
    """

    worst: Annotated[int, Field(ge=0)] = 25
    bootstrap_resamples: Annotated[int, Field(ge=100)] = 1000
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
    check="hone.evaluate.faults:find_faults",
    needs_bundle=True,
    bundles=OTHERS,
)

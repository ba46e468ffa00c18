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
        reference: Of rows that are pairs of texts: the folder of the bundle that preferences are measured against;
            None: the one that ``prefer`` began with in this very run, and where there is none only likelihoods are.
        best_of: Of a task that writes: so many texts are written for each input, and the one with the highest reward
            is measured.
        reward: The folder of the bundle that gives the reward: it labels texts, or gives them a number.
        label: The label whose probability is the reward; none where ``reward`` gives numbers.
        judge: Of a task that writes by attributes: the folder of a bundle that labels texts. How many of the texts it
            gives the label that their row asked for is measured.
        attribute: Which attribute it judges; empty: the only one.
        length_edges: Token counts at which the slices by length begin, rising; shorter texts are in the first.
    """

    on: str = "test"
    worst: Annotated[int, Field(ge=0)] = 25
    bootstrap_resamples: Annotated[int, Field(ge=100)] = 1000
    decoding: dict[str, Any] = {}
    reference: str | None = None
    best_of: Annotated[int, Field(ge=2)] | None = None
    reward: str | None = None
    label: str = ""
    judge: str | None = None
    attribute: str = ""
    length_edges: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [1, 9, 17, 33, 65, 129, 257]

    @model_validator(mode="after")
    def _rewarded(self) -> EvaluateSettings:
        if (self.best_of is None) != (self.reward is None):
            raise ValueError("best_of and reward together, or neither")
        if self.label and self.reward is None:
            raise ValueError("reward beside label")
        if self.attribute and self.judge is None:
            raise ValueError("judge beside attribute")
        return self

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
    bundles=("reference", "reward", "judge"),
)

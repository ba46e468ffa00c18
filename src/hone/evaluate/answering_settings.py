"""How `evaluate` and `compare` have a bundle answer, and by which other bundles they measure it; no torch."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from hone.core.settings import Settings


class AnsweringSettings(Settings):
    """What both stages may be told.

    Attributes:
        on: The split that is answered.
        decoding: How texts are written, where that is not as a bundle says (`hone.tasks.decoding`).
        reference: Of rows that are pairs of texts: the folder of the bundle that preferences are measured against.
        best_of: Of a task that writes: so many texts are written for each input, and the one with the highest reward
            is measured.
        reward: The folder of the bundle that gives the reward: it labels texts, or gives them a number.
        label: The label whose probability is the reward; none where ``reward`` gives numbers.
        judge: Of a task that writes by attributes: the folder of a bundle that labels texts. How many of the texts it
            gives the label that their row asked for is measured.
        attribute: Which attribute it judges; empty: the only one.
    """

    on: str = "test"
    decoding: dict[str, Any] = {}
    reference: str | None = None
    best_of: Annotated[int, Field(ge=2)] | None = None
    reward: str | None = None
    label: str = ""
    judge: str | None = None
    attribute: str = ""

    @model_validator(mode="after")
    def _rewarded(self) -> AnsweringSettings:
        if (self.best_of is None) != (self.reward is None):
            raise ValueError("best_of and reward together, or neither")
        if self.label and self.reward is None:
            raise ValueError("reward beside label")
        if self.attribute and self.judge is None:
            raise ValueError("judge beside attribute")
        return self

    @property
    def facts(self) -> dict[str, str | int]:
        """How the answers of a report came about, where that is not as the bundle says."""
        how: dict[str, str | int] = {} if self.best_of is None else {"best_of": self.best_of}
        return how | ({"decoding": json.dumps(self.decoding, ensure_ascii=False)} if self.decoding else {})


OTHERS = ("reference", "reward", "judge")  # the settings that name bundles

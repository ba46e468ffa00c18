"""Settings of ``merge``; no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from hone.bundle.stage import Stage
from hone.core.settings import Settings


class MergeSettings(Settings):
    """Settings of the stage ``merge``.

    Attributes:
        on: The split on which what was merged is compared with what was tuned; None: ``validation`` where there is one,
            else texts of random words of the base's vocabulary.
        tolerance: How far apart any two logits may be, float32; more is refused, and no bundle is written.
    """

    on: str | None = None
    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4

    @field_validator("on")
    @classmethod
    def _not_test(cls, value: str | None) -> str | None:
        if value == "test":
            raise ValueError("another split than 'test': what changes the model may not look at it")
        return value


MERGE = Stage(
    kind="merge",
    settings=MergeSettings,
    reads=("train", "validation", "unlabeled"),
    changes="model",
    work="hone.compress.merge:merge",
    needs_bundle=True,
)

"""Settings of ``inspect``; no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hone.bundle.stage import HELD_OUT, Stage
from hone.core.settings import Settings


class InspectSettings(Settings):
    """Settings of the stage ``inspect``.

    Attributes:
        unknown_share: Share of unknown tokens from which the base is said not to know the language.
        examples: How many rows each finding names.
    """

    unknown_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    examples: Annotated[int, Field(ge=0)] = 10


INSPECT = Stage(
    kind="inspect",
    settings=InspectSettings,
    reads=("train", "validation", "test", HELD_OUT),
    changes="nothing",
    does_task=False,
    work="hone.inspect.inspect:inspect",
)

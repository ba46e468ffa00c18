"""Settings of ``compare``; no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hone.bundle.stage import Stage
from hone.evaluate.answering_settings import OTHERS, AnsweringSettings


class CompareSettings(AnsweringSettings):
    """Settings of the stage ``compare``. Preferences of both are measured against the one ``reference``; where none is
    named, only likelihoods are.

    Attributes:
        against: The folder of the bundle that is the first; the second is the one that the stages before made, or that
            is given.
        resamples: How many samples of the rows are behind each interval, and exchanges of answers behind each p value.
        worst: How many of the rows the report shows that lost most, and how many of those that gained most; every row
            that the two answer otherwise is in ``differences.jsonl``.
    """

    against: str
    resamples: Annotated[int, Field(ge=100)] = 1000
    worst: Annotated[int, Field(ge=0)] = 15


COMPARE = Stage(
    kind="compare",
    settings=CompareSettings,
    reads=("train", "validation", "test"),
    changes="nothing",
    work="hone.evaluate.compare:compare",
    check="hone.evaluate.compare_faults:find_faults",
    needs_bundle=True,
    bundles=("against", *OTHERS),
)

"""How varied texts are that a bundle wrote: of the set, beside what is counted text by text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hone.core.measures import Measure
from hone.evaluate.answering import Answered
from hone.metrics.intervals import to_measures
from hone.metrics.ngrams import Units
from hone.metrics.paired import Difference
from hone.metrics.variety import VARIETY_SPECS, Variety, variety_differences, variety_intervals
from hone.tasks.answers import written_of
from hone.tasks.text_generation import TextGeneration
from hone.text.units import words_and_characters


def variety_measures(told: Answered, *, resamples: int) -> list[Measure]:
    """Distinct-n of what was written, with intervals; nothing where nothing was, or where a source says what to say."""
    said = _said(told)
    if said is None:
        return []
    variety = Variety(said)
    values = variety.values(np.ones(variety.count, dtype=np.bool_))
    intervals = variety_intervals(variety, resamples=resamples)
    return to_measures(values, VARIETY_SPECS, intervals=intervals, n=variety.count)


def variety_beside(first: Answered, second: Answered, *, resamples: int) -> dict[str, Difference]:
    """What the second has over the first of it."""
    had, has = _said(first), _said(second)
    return {} if had is None or has is None else variety_differences(had, has, resamples=resamples)


def _said(told: Answered) -> Sequence[Sequence[Units]] | None:
    """Of each example the units of its texts."""
    if not isinstance(told.task, TextGeneration) or not all("text" in one for one in told.predictions):
        return None
    return [[words_and_characters(text) for text in written_of(one)] for one in told.predictions]

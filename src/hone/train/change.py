"""What a training changed in what a model tells, with intervals: gained, lost, or neither shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hone.core.measures import Measure, MeasureSpec
from hone.metrics.intervals import Values, less, with_intervals
from hone.report.catalog import Language, slice_name, word
from hone.report.report import Cell, Grid
from hone.tasks.protocol import FloatArray

FEWEST = 8  # examples that tell anything: of two the bootstrap is sure half of the time
COLUMNS = ["what", "measure", "before", "after", "difference", "low", "high", "verdict"]


@dataclass(frozen=True)
class Told:
    """What a model told of the same examples before a training and after.

    Attributes:
        part: What they are called.
        before, after: Tallies, float64 [examples, k].
        measures: Measures of any tally.
        specs: Of those measures.
        additive: See `hone.metrics.intervals.bootstrap`.
    """

    part: str
    before: FloatArray
    after: FloatArray
    measures: Callable[[FloatArray], Values]
    specs: Mapping[str, MeasureSpec]
    additive: bool

    def found(self) -> list[Measure]:
        """Every measure after the training, its slice the part."""
        return with_intervals(self.after, self.measures, specs=self.specs, additive=self.additive, slice=self.part)

    def differences(self) -> list[Measure]:
        """By how much each measure has grown, with the interval of the paired bootstrap: examples are drawn, and both
        models are measured on the same ones."""

        def grown(tally: FloatArray) -> Values:
            old, new = (self.measures(half) for half in np.hsplit(tally, 2))
            return {name: less(value, old[name]) for name, value in new.items()}

        specs = {name: spec.model_copy(update={"interval": "bootstrap"}) for name, spec in self.specs.items()}
        both = np.hstack([self.before, self.after])
        return with_intervals(both, grown, specs=specs, additive=self.additive, slice=self.part)


def verdict(difference: Measure) -> str:
    """Which way the interval of a difference lies: ``gained``, ``lost``, or ``not_shown`` where it holds zero."""
    low, high = difference.low, difference.high
    if low is None or high is None or low <= 0 <= high or difference.better is None:
        return "not_shown"
    return "gained" if (low > 0) == (difference.better == "higher") else "lost"


def changes(sets: Sequence[Told], language: Language) -> tuple[Grid, list[str]]:
    """A table of every measure of every set, before, after and by how much they differ; and the sets that lost by the
    first of their measures."""
    rows: list[list[Cell]] = []
    lost: list[str] = []
    for told in sets:
        old, new = told.measures(told.before), told.measures(told.after)
        for i, grown in enumerate(told.differences()):
            said = verdict(grown) if grown.n >= FEWEST else "not_shown"
            name = grown.name
            names: list[Cell] = [slice_name(told.part, language), word(name, language)]
            rows.append([*names, old[name], new[name], grown.value, grown.low, grown.high, word(said, language)])
            lost += [told.part] if said == "lost" and not i else []
    return Grid(columns=COLUMNS, rows=rows), lost

"""What a base is measured by before it learns, while it does and afterwards: text that was held out, and probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from hone.bundle.stage import HELD_OUT, Inputs
from hone.core.measures import MeasureSpec
from hone.metrics.intervals import with_intervals
from hone.models.model import Model
from hone.predict.batching import budgeted
from hone.report.catalog import Language, word
from hone.report.report import Cell, Grid, Report
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.protocol import FloatArray
from hone.tasks.rows import Rows
from hone.train.base_probes import SPECS, Probe
from hone.train.change import Told, changes
from hone.train.measured import Measured

Tallies = dict[str, FloatArray]  # of the held-out text under `HELD_OUT`, of each probe under its name


class Judged:
    """What a base is measured by.

    Args:
        learning: What it learns.
        held_out: Rows of the text that is held out; None: there is none.
        probes: See `Probe`.
    """

    def __init__(
        self, learning: Pretraining, held_out: Rows | None, probes: Sequence[Probe], *, device: torch.device
    ) -> None:
        self.learning, self.held_out, self.probes, self.device = learning, held_out, probes, device

    @property
    def any(self) -> bool:
        """Whether there is anything to measure by."""
        return self.held_out is not None or bool(self.probes)

    @property
    def specs(self) -> dict[str, MeasureSpec]:
        """Every measure, those of a probe under its name."""
        return {**self.learning.measure_specs, **{probe.name: SPECS[probe.measure] for probe in self.probes}}

    @property
    def main_measure(self) -> str:
        """What decides where nothing is said."""
        return self.probes[0].name if self.held_out is None and self.probes else self.learning.main_measure

    def tallies(self, model: Model) -> Tallies:
        """What a model tells."""
        found = {} if self.held_out is None else {HELD_OUT: tallied(self.learning, model, self.held_out, self.device)}
        return found | {probe.name: probe.tally(model, device=self.device) for probe in self.probes}

    def validate(self, model: Model) -> dict[str, float | None]:
        """Every measure of a model."""
        tallies = self.tallies(model)
        found = self.learning.measures(tallies[HELD_OUT]) if HELD_OUT in tallies else {}
        return found | {probe.name: probe.measures(tallies[probe.name])[probe.measure] for probe in self.probes}

    def told(
        self, report: Report, before: Tallies, after: Tallies, *, inputs: Inputs, language: Language, begun: bool
    ) -> Report:
        """``report`` with all that was measured, the change of each with the interval of a paired bootstrap, and a
        warning where held-out text is told worse than before, or by a head that is new (``begun``)."""
        texts, probes = self._texts(before, after, inputs), self._probed(before, after)
        measures = [one for told in [*texts, *probes] for one in told.found()]
        if HELD_OUT in before:
            specs = self.learning.measure_specs
            measures += with_intervals(
                before[HELD_OUT], self.learning.measures, specs=specs, additive=True, slice="before"
            )
        tables, warnings = dict(report.tables), list(report.warnings)
        if texts:
            tables["forgetting"], lost = changes(texts, language)
            warnings += [word("warn.forgotten", language, part=part) for part in lost]
            warnings += [word("warn.begun", language)] if begun else []
        if probes:
            tables["probed"], _ = changes(probes, language)
        cut = sum(probe.cut for probe in self.probes)
        warnings += [word("warn.probes_cut", language, count=f"{cut:,}")] if cut else []
        return report.model_copy(update={"measures": measures, "tables": tables, "warnings": warnings})

    def curve(self, history: Sequence[Mapping[str, float | None]]) -> dict[str, Grid]:
        """A line for each probe over the epochs."""
        names = [probe.name for probe in self.probes]
        points: list[list[Cell]] = [[record["epoch"], *(record[name] for name in names)] for record in history]
        return {"probe_curve": Grid(columns=["epoch", *names], rows=points, show="line")} if names and points else {}

    def _texts(self, before: Tallies, after: Tallies, inputs: Inputs) -> list[Told]:
        """The held-out text, and where it is of several sources, that of each."""
        if self.held_out is None:
            return []
        every = np.ones(len(self.held_out), dtype=bool)
        parts = {HELD_OUT: every}
        sources = {} if inputs.held_out is None else inputs.held_out.parts()
        if len(sources) > 1:
            example = self.held_out.example[:]
            parts |= {name: (example >= rows.start) & (example < rows.stop) for name, rows in sources.items()}
        return [
            Told(name, before[HELD_OUT][chosen], after[HELD_OUT][chosen], self.learning.measures,
                 self.learning.measure_specs, additive=True)
            for name, chosen in parts.items()
            if chosen.any()
        ]  # fmt: skip

    def _probed(self, before: Tallies, after: Tallies) -> list[Told]:
        return [
            Told(probe.part, before[probe.name], after[probe.name], probe.measures,
                 {probe.measure: SPECS[probe.measure]}, additive=False)
            for probe in self.probes
        ]  # fmt: skip


def tallied(learning: Pretraining, model: Model, rows: Rows, device: torch.device) -> FloatArray:
    """What a model tells of held-out rows, float64 [rows, columns], in their order; see `Pretraining.settled`."""
    engine, parts = Measured(model, device), []
    batches = list(budgeted(rows.lengths))
    for index in batches:
        batch = learning.collate(rows, index)
        parts.append(learning.tally(engine.forward(batch), batch))
    return learning.settled(parts, np.concatenate(batches))

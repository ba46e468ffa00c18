"""`Report`: what a stage found, written as JSON and shown as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hone.core.measures import Measure

Cell = str | int | float | bool | None
Show = Literal["table", "bars", "histogram", "matrix", "line", "reliability"]


class Grid(BaseModel):
    """A table of a report.

    Attributes:
        columns: Column names; the first one names the row.
        rows: One list a row, as long as ``columns``.
        show: How a page shows it beside the figures: ``bars`` (first column labels, second lengths), ``histogram``
            (first column bin labels, second counts), ``matrix`` (first column row labels, others cells), ``line``
            (first column x, others one line each), ``reliability`` (confidence, accuracy, count), or only ``table``.
        note: One sentence on how to read it.
    """

    model_config = ConfigDict(frozen=True)
    columns: list[str]
    rows: list[list[Cell]]
    show: Show = "table"
    note: str = ""


class Report(BaseModel):
    """A stage's findings.

    Attributes:
        stage: The stage's kind, such as ``evaluate``.
        bundle: Digest of the bundle it speaks of; empty when there is none.
        measures: Numbers with intervals.
        tables: Name -> table.
        warnings: Sentences the user must not miss.
        facts: Short name -> value pairs that say what was looked at (data file, rows, model, seconds).
    """

    model_config = ConfigDict(frozen=True)
    stage: str
    bundle: str = ""
    measures: list[Measure] = []
    tables: dict[str, Grid] = {}
    warnings: list[str] = []
    facts: dict[str, Cell] = {}

    def to_json(self) -> str:
        """The report as indented JSON, UTF-8 text; NaN never occurs."""
        return json.dumps(self.model_dump(), ensure_ascii=False, indent=1, allow_nan=False)

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read a report that `to_json` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))

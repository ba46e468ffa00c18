"""`Report`: what a stage found, written as JSON and shown as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from hone.core.measures import Better, Measure

Cell = str | int | float | bool | None
Show = Literal["table", "bars", "histogram", "matrix", "line", "pareto", "reliability"]


class Grid(BaseModel):
    """A table of a report.

    Attributes:
        columns: Column names; the first one names the row.
        rows: One list a row, as long as ``columns``.
        show: How a page shows it beside the figures: ``bars`` (first column labels, second lengths), ``histogram``
            (first column bin labels, second counts), ``matrix`` (first column row labels, others cells), ``line``
            (first column x, others one line each), ``reliability`` (confidence, accuracy, count), ``pareto`` (a number
            and a name, two costs, a quality, and among the rest ``within_budget``), or only ``table``.
        note: One sentence on how to read it; empty for the catalog's own, where it knows the table.
        better: Of ``pareto``: which direction of the quality is an improvement.
        names: Whether the first column holds data, shown as it is, or keys of the catalog (``train``), translated.

    Raises:
        ValueError: A row is not as long as ``columns``, a number is not finite, or the cells are none that ``show``
            can draw.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    columns: list[str]
    rows: list[list[Cell]]
    show: Show = "table"
    note: str = ""
    better: Better = "higher"
    names: Literal["data", "words"] = "data"

    @model_validator(mode="after")
    def _rows_fit(self) -> Grid:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {i} must have {len(self.columns)} cells, got {len(row)}")
        if self.show == "reliability" and len(self.columns) != 3:
            raise ValueError(f"a reliability grid must have 3 columns, got {len(self.columns)}")
        if self.show == "pareto" and (len(self.columns) < 5 or "within_budget" not in self.columns[4:]):
            raise ValueError(f"a pareto grid must have two costs, a quality and within_budget, got {self.columns}")
        if self.show != "table" and len(self.columns) < 2:
            raise ValueError(f"a grid shown as {self.show} must have at least 2 columns, got {len(self.columns)}")
        for i in range(len(self.columns))[_NUMERIC.get(self.show, slice(0))]:
            odd = next((row[i] for row in self.rows if isinstance(row[i], str | bool)), None)
            if odd is not None:
                raise ValueError(f"column {self.columns[i]!r} of a {self.show} grid must hold numbers, got {odd!r}")
        return self


_NUMERIC = {  # which of the columns a plot draws as numbers
    "bars": slice(1, 2),
    "histogram": slice(1, 2),
    "matrix": slice(1, None),
    "line": slice(None),
    "pareto": slice(1, 4),
    "reliability": slice(None),
}


class Report(BaseModel):
    """A stage's findings.

    Attributes:
        stage: The stage's kind, such as ``evaluate``.
        bundle: Digest of the bundle it speaks of; empty when there is none.
        conclusion: One sentence that answers what the stage was asked, where it was asked something.
        measures: Numbers with intervals.
        tables: Name -> table.
        warnings: Sentences the user must not miss.
        facts: Short name -> value pairs that say what was looked at (data file, rows, model, seconds).
    """

    model_config = ConfigDict(frozen=True)
    stage: str
    bundle: str = ""
    conclusion: str = ""
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

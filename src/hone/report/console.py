"""`to_text`: a report as plain text for a terminal; columns stay aligned with wide characters too."""

from __future__ import annotations

from collections.abc import Container, Sequence

from hone.core.measures import Measure
from hone.report import numbers
from hone.report.catalog import Language, reason_in, slice_name, word
from hone.report.report import Cell, Grid, Report
from hone.report.visible import as_line, text_width

SHORT = 20  # rows; a longer table, like a wide one, is only in the report's files
WIDE = 100  # columns of the terminal
NARROW = 78  # up to which all cells are whole
CELL = 48  # most columns of one cell of a wider table


def to_text(report: Report, *, language: Language = "en", only: Container[str] | None = None) -> str:
    """The conclusion, the measures, the warnings and the short tables of a report, without color, ending in a line end.

    Tables of more than 20 rows, matrices, and tables wider than 100 columns are left to the report's files; where
    ``only`` some are named, all others are.
    """
    parts = [as_line(report.conclusion), to_warnings(report.warnings), _measures(report.measures, language)]
    for name, grid in report.tables.items():
        if (only is None or name in only) and grid.rows and len(grid.rows) <= SHORT and grid.show != "matrix":
            lines = _grid(grid, language, cell=WIDE)
            if max(map(text_width, lines)) > NARROW:
                lines = _grid(grid, language, cell=CELL)
            if max(map(text_width, lines)) <= WIDE:
                parts.append("\n".join([as_line(word(name, language)), *(f"  {line}" for line in lines)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def to_warnings(warnings: Sequence[str]) -> str:
    """The warnings of a report, each on a line that begins with ``!``."""
    return "\n".join(f"! {as_line(warning)}" for warning in warnings)


def _measures(measures: Sequence[Measure], language: Language) -> str:
    """A line each; those without a value together, by the reason that they have none."""
    rows = []
    missing: dict[str, list[str]] = {}
    for measure in measures:
        name = word(measure.name, language)
        if measure.slice:
            name = f"{name} [{slice_name(measure.slice, language)}]"
        if measure.value is None:
            missing.setdefault(as_line(reason_in(measure.reason, language)), []).append(name)
            continue
        value = numbers.number(measure.value, measure.unit, language=language)
        span = numbers.interval(measure, language=language)
        said = f"[{span}] {numbers.level(measure.level)}" if span else ""
        rows.append([name, value, said, f"n = {measure.n:,}" if measure.n else ""])
    comma, colon = ("、", "：") if language == "zh" else (", ", ": ")
    nothing = [f"{word('page.nothing', language)} {comma.join(names)}{colon}{why}" for why, names in missing.items()]
    return "\n".join([*(_aligned(rows, right={1}) if rows else []), *nothing])


def _grid(grid: Grid, language: Language, *, cell: int) -> list[str]:
    columns, right = [], set()
    for i, name in enumerate(grid.columns):
        cells: list[Cell] = [row[i] for row in grid.rows]
        texts = [as_line(text, limit=cell) for text in numbers.column(name, cells, language=language)]
        if not i and grid.names == "words":
            texts = [word(text, language) for text in texts]
        if all(cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)) for cell in cells):
            right.add(i)
        columns.append([as_line(word(name, language)), *texts])
    return _aligned([list(row) for row in zip(*columns, strict=True)], right=right)


def _aligned(rows: Sequence[Sequence[str]], *, right: set[int]) -> list[str]:
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = [
            " " * (width - text_width(cell)) + cell if i in right else cell + " " * (width - text_width(cell))
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return lines

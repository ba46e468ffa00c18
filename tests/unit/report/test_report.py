"""Grids refuse what no page could show, and reports come back as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.report.report import Cell, Grid, Report, Show


def test_a_report_reads_back_equal(tmp_path: Path, report: Report) -> None:
    file = tmp_path / "evaluate.json"
    file.write_text(report.to_json(), encoding="utf-8")
    assert Report.read(file) == report


@pytest.mark.parametrize(
    ("columns", "row", "show", "words"),
    [
        (["a", "b"], ["x"], "table", "must have 2 cells, got 1"),
        (["a"], ["x"], "bars", "at least 2 columns"),
        (["a", "b"], ["x", "y"], "bars", "must hold numbers, got 'y'"),
        (["a", "b"], ["x", True], "matrix", "must hold numbers, got True"),
        (["a", "b"], ["x", 1], "line", "column 'a' of a line grid"),
        (["a", "b"], [0.5, 0.5], "reliability", "must have 3 columns, got 2"),
        (["a", "b"], ["x", float("nan")], "table", "finite number"),
    ],
)
def test_a_grid_refuses_what_does_not_fit(columns: list[str], row: list[Cell], show: Show, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Grid(columns=columns, rows=[row], show=show)

"""The terminal's view: aligned, short, one line a row."""

from __future__ import annotations

import pytest

from hone.core.measures import Measure
from hone.report.catalog import Language
from hone.report.console import to_text
from hone.report.report import Grid, Report
from hone.report.visible import text_width


def test_measures_stand_with_interval_level_and_n(report: Report) -> None:
    assert "Accuracy" in (text := to_text(report))
    assert "0.937  [0.927 – 0.945] 95%" in text
    assert "n = 3,080" in text


def test_a_missing_value_gives_its_reason(report: Report) -> None:
    assert "no class has an example" in to_text(report)


def test_warnings_come_first(report: Report) -> None:
    assert to_text(report).startswith("! 3 texts leak")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_columns_are_aligned_with_wide_characters_too(language: Language) -> None:
    measures = [Measure(name=name, value=0.5, low=0.4, high=0.6, n=10) for name in ("accuracy", "f1", "entity_f1")]
    rows = to_text(Report(stage="evaluate", measures=measures), language=language).rstrip().split("\n")
    assert len({text_width(row[: row.index("0.500")]) for row in rows}) == 1


def test_long_wide_and_matrix_tables_are_left_out() -> None:
    tables = {
        "per_class": Grid(columns=["label", "n"], rows=[["x", i] for i in range(21)]),
        "confusion": Grid(columns=["gold", "a"], rows=[["a", 1]], show="matrix"),
        "wide": Grid(columns=[f"a_rather_long_column_{i}" for i in range(9)], rows=[list(range(9))]),
        "splits": Grid(columns=["split", "rows"], rows=[["train", 5]], names="words"),
    }
    text = to_text(Report(stage="inspect", tables=tables))
    assert "Splits" in text
    assert "train" in text
    assert not any(name in text for name in ("By class", "Confusion", "wide"))


def test_a_cell_is_whole_where_its_table_is_narrow() -> None:
    signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
    grid = Grid(columns=["measure", "signature"], rows=[["BLEU", signature]])
    assert signature in to_text(Report(stage="evaluate", tables={"signatures": grid}))


def test_measures_without_a_value_share_a_line_by_their_reason() -> None:
    why = "there is nothing to score in this part of the data"
    measures = [Measure(name=name, value=None, reason=why) for name in ("bleu", "chrf")]
    report = Report(stage="evaluate", measures=measures)
    assert to_text(report) == f"– BLEU, Character F (chrF): {why}\n"
    assert to_text(report, language="zh").endswith("：这部分数据中没有可评分的内容\n")


def test_a_text_stays_on_its_line_and_shows_what_is_hidden() -> None:
    grid = Grid(columns=["text", "count"], rows=[["two\nlines\x1b[31m " + "long " * 30, 1]])
    text = to_text(Report(stage="evaluate", tables={"worst_mistakes": grid}))
    assert "two⏎lines⟨001B⟩[31m" in text
    assert "…" in text
    assert len(text.split("\n")) == 4


def test_an_empty_report_is_an_empty_line() -> None:
    assert to_text(Report(stage="evaluate")) == "\n"

"""Both catalogs say the same things, and the code asks for nothing that they lack."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from pathlib import Path

import pytest

import hone
import hone.report.catalog
from hone.report.catalog import CATALOGS, explained, slice_name, word
from hone.report.report import Grid, Report

ROOM = Path(hone.report.catalog.__file__).parent


def source_of(paths: Iterable[Path]) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in paths if not path.name.startswith("words_"))


SOURCE = source_of(ROOM.glob("*.py"))
EVERYTHING = source_of(ROOM.parent.rglob("*.py"))


def words_of(grid: Grid) -> set[str]:
    """The columns of ``grid``, and its rows' names where they are words; a matrix's columns are labels."""
    names = {str(row[0]) for row in grid.rows} if grid.names == "words" else set()
    return names | set(grid.columns[:1] if grid.show == "matrix" else grid.columns)


def shown(report: Report) -> set[str]:
    """Every name of ``report`` that is no data."""
    measures = {measure.name for measure in report.measures}
    tables = set().union(*map(words_of, report.tables.values()))
    return {report.stage, *report.tables, *report.facts} | measures | tables


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_file_of_words_takes_a_key_from_another(language: str) -> None:
    ends = f"_{language}"
    files = [module for name, module in vars(hone.report.catalog).items() if name.endswith(ends)]
    tables = [table for module in files for name, table in vars(module).items() if name.isupper()]
    assert len(files) == len(tables) == 6
    assert sum(map(len, tables)) == len(CATALOGS[language])  # type: ignore[index]


def test_both_catalogs_have_the_same_keys_and_places() -> None:
    assert list(CATALOGS["en"]) == list(CATALOGS["zh"])
    for key, sentence in CATALOGS["en"].items():
        assert places(sentence) == places(CATALOGS["zh"][key]), key


def test_every_fixed_word_is_known_and_used() -> None:
    asked = set(re.findall(r'["\']((?:page|plot)\.\w+)["\']', SOURCE))
    assert asked == {key for key in CATALOGS["en"] if key.startswith(("page.", "plot."))}


def test_every_sentence_of_a_conversation_is_said() -> None:
    said = (ROOM.parent / "cli" / "chat.py").read_text(encoding="utf-8")
    for key in CATALOGS["en"]:
        group, _, name = key.partition(".")
        if group == "talk":
            assert re.search(rf'["\'.]{re.escape(name)}["\']', said), key


def test_every_other_word_is_named_somewhere_in_the_code() -> None:
    for key in CATALOGS["en"]:
        group, _, name = key.rpartition(".")
        if group in ("", "unit", "warn", "advice"):
            assert re.search(rf'["\']({re.escape(key)}|{re.escape(name)})["\']', EVERYTHING), key


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_every_name_that_the_stages_report_is_in_both_catalogs(
    task: str, tmp_path: Path, texts: dict[str, Path], tagged: dict[str, Path], tiny_base: Path
) -> None:
    files = texts if task == "text-classification" else tagged
    values = {
        "version": 1,
        "task": task,
        "base": str(tiny_base),
        "data": {split: str(file) for split, file in files.items()},
        "stages": [{"kind": "finetune", "max_steps": 2, "eval_strategy": "steps", "eval_steps": 1}, "evaluate"],
    }
    reports = hone.run(values, out=tmp_path / "run").reports
    assert set(reports) == {"inspect", "finetune", "evaluate"}
    for name, report in reports.items():
        for language, catalog in CATALOGS.items():
            assert shown(report) <= set(catalog), (name, language)


def test_chinese_is_written_with_chinese_punctuation() -> None:
    for key, sentence in CATALOGS["zh"].items():
        assert not re.search(r"[\u4e00-\u9fff][,;:(]|[,;:)][\u4e00-\u9fff]", sentence), key


def test_every_explanation_explains_something_named() -> None:
    for key in CATALOGS["en"]:
        if key.startswith(("about.", "note.")):
            assert key.partition(".")[2] in CATALOGS["en"], key


def test_an_unknown_key_falls_back_to_its_words() -> None:
    assert word("brand_new_measure", "zh") == "brand new measure"
    assert explained("note.brand_new") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [("tokens 0-16", "token 数 0-16"), ("refund 2", "refund 2"), ("validation", "验证集"), ("refund", "refund")],
)
def test_only_the_first_word_of_a_slice_is_translated(name: str, shown: str) -> None:
    assert slice_name(name, "zh") == shown


def test_places_are_filled() -> None:
    assert word("page.all_rows", count="77") == "All 77 rows"

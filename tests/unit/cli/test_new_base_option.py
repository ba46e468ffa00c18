"""``--base`` takes what ``base`` takes in a recipe: a name, or what is to be made."""

from __future__ import annotations

from pathlib import Path

from ended import Hone

from hone.report.report import Report


def test_a_base_to_be_made_is_priced(run: Hone, texts: dict[str, Path]) -> None:
    base = "{architecture: bilstm, hidden: 8, embedding: 4}"
    ended = run("inspect", texts["train"], "--base", base, "--json")
    assert ended.code == 0
    report = Report.model_validate(ended.object())
    assert report.facts["base"] == "new bilstm"
    known = next(row[1] for row in report.tables["cost"].rows if row[0] == "parameters")
    lstm = 2 * (4 * 4 * 4 + 4 * 4 * 4 + 2 * 4 * 4)  # two directions of four gates, four wide, over four inputs
    assert isinstance(known, int)
    assert known > lstm
    assert (known - lstm) % 4 == 0


def test_one_that_cannot_be_made_ends_with_2_and_says_why(run: Hone, texts: dict[str, Path]) -> None:
    ended = run("inspect", texts["train"], "--base", "{architecture: bilstn}")
    assert ended.code == 2
    assert "base.architecture" in ended.err
    assert "'bilstm'" in ended.err


def test_a_mapping_that_is_no_yaml_ends_with_2(run: Hone, texts: dict[str, Path]) -> None:
    ended = run("inspect", texts["train"], "--base", "{architecture: ")
    assert ended.code == 2
    assert "Traceback" not in ended.err

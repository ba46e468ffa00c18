"""A label of a csv or tsv file names a choice by its text or by its place, and all labels of the file alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.core.errors import DataError
from hone.data.choices import place_of
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source

FIELDS = (Field("question", "text"), Field("choices", "texts"), Field("label", "choice"))


def places(folder: Path, rows: list[tuple[str, str]], *, suffix: str = "csv") -> list[int]:
    """The places that are read of rows of choices and a label."""
    between = "," if suffix == "csv" else "\t"
    lines = [between.join(("question", "choices", "label"))]
    lines += [between.join((f"question {i}", *row)) for i, row in enumerate(rows)]
    (folder / f"rows.{suffix}").write_text("\n".join(lines) + "\n")
    data = read(Source(path=f"rows.{suffix}"), FIELDS, name="train", base=folder, cache=folder / "cache")
    return [int(place) for place in data.column("label")]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_labels_that_are_all_places_are_places_where_choices_are_numbers(suffix: str, tmp_path: Path) -> None:
    rows = [("1|2|4", "1"), ("1|2|4", "0"), ("2|3|5", "2")]  # 0 is the text of no choice
    assert places(tmp_path, rows, suffix=suffix) == [1, 0, 2]


def test_labels_that_are_all_texts_are_texts_where_some_are_places_too(tmp_path: Path) -> None:
    assert places(tmp_path, [("1|2|4", "1"), ("1|2|4", "4"), ("2|1|0", "2")]) == [0, 2, 0]


def test_words_are_named_by_text_or_by_place(tmp_path: Path) -> None:
    assert places(tmp_path, [("oak|elm", "elm"), ("ash|fir", "ash")]) == [1, 0]
    assert places(tmp_path, [("oak|elm", "1"), ("ash|fir", "0")]) == [1, 0]


def test_what_is_the_same_in_both_ways_needs_no_way(tmp_path: Path) -> None:
    assert places(tmp_path, [("0|1|2", "1"), ("0|1", "0")]) == [1, 0]


def test_labels_that_are_read_in_both_ways_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        places(tmp_path, [("oak|1", "1"), ("1|2|4", "1"), ("2|1|4", "2")])
    (fault,) = caught.value.faults
    assert (fault.code, fault.line, fault.field) == ("data.choice-naming", 3, "label")
    assert "the label '1', the text of the choice at place 0" in fault.found
    assert "JSON lines" in fault.fix


def test_a_label_that_is_read_otherwise_than_most_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        places(tmp_path, [("oak|elm", "1"), ("ash|fir", "0"), ("oak|fir", "fir")])
    (fault,) = caught.value.faults
    assert (fault.code, fault.line) == ("data.choice-place", 4)
    assert "read as places" in fault.found


def test_in_json_a_number_is_a_place_and_a_text_a_text(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"question": "q", "choices": ["1", "2", "4"], "label": 1}\n'
        '{"question": "q", "choices": ["1", "2", "4"], "label": "1"}\n'
    )
    data = read(Source(path="rows.jsonl"), FIELDS, name="train", base=tmp_path, cache=tmp_path / "cache")
    assert data.column("label") == [1, 0]


@pytest.mark.parametrize(("said", "place"), [("b", 1), ("c", -1), (1, 1), (2, -1), (-1, -1), ("1", -1)])
def test_a_place_of_a_row(said: int | str, place: int) -> None:
    assert place_of(said, ["a", "b"]) == place

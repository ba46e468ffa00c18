"""Rows whose fields stand in files of their own, line beside line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hone.core.errors import DataError
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source
from hone.tasks.translation import Translation

FILES = {
    "a.en": "one\ntwo \u2028 here\nthree\n",
    "a.de": "eins\r\nzwei\r\ndrei",
    "b.de": "ein\nzwo\ndrei | 3\n",
    "short.de": "eins\n",
    "gap.de": "eins\n\ndrei\n",
    "zh.txt": "一二三四五六七八九十\n",
}


def rows_of(folder: Path, lines: dict[str, Any], *fields: Field) -> Dataset:
    for name, text in FILES.items():
        encoding = "gb18030" if name == "zh.txt" else "utf-8"
        (folder / name).write_bytes(text.encode(encoding))
    choices = [fields] if fields else [shape.fields for shape in Translation.shapes()]
    return read(Source.model_validate({"lines": lines}), *choices, name="train", base=folder, cache=folder / "cache")


def refused(folder: Path, lines: dict[str, Any]) -> DataError:
    with pytest.raises(DataError) as raised:
        rows_of(folder, lines)
    return raised.value


def test_a_line_beside_a_line_is_a_row(tmp_path: Path) -> None:
    found = rows_of(tmp_path, {"source": "a.en", "target": "a.de"})
    assert found.column("source") == ["one", "two \u2028 here", "three"]
    assert found.column("target") == ["eins", "zwei", "drei"]
    assert found.origin == "a.en + a.de"
    assert found.place(2) == ("a.en + a.de", 3)


def test_several_files_are_several_references(tmp_path: Path) -> None:
    found = rows_of(tmp_path, {"source": "a.en", "targets": ["a.de", "b.de"]})
    assert found.column("targets") == [["eins", "ein"], ["zwei", "zwo"], ["drei", "drei | 3"]]


def test_which_file_is_which_field_is_part_of_what_was_read(tmp_path: Path) -> None:
    one = rows_of(tmp_path, {"source": "a.en", "target": "a.de"})
    other = rows_of(tmp_path, {"target": "a.en", "source": "a.de"})
    assert one.digest != other.digest
    assert other.column("source") == one.column("target")


def test_words_and_tags_stand_in_files_too(tmp_path: Path) -> None:
    (tmp_path / "seq.in").write_text("to new york\nhi\n", encoding="utf-8")
    (tmp_path / "seq.out").write_text("O B-to I-to\nO\n", encoding="utf-8")
    fields = Field("tokens", "tokens"), Field("tags", "tags")
    found = rows_of(tmp_path, {"tokens": "seq.in", "tags": "seq.out"}, *fields)
    assert found.row(0) == {"tokens": ["to", "new", "york"], "tags": ["O", "B-to", "I-to"]}


def test_files_of_unlike_lengths_say_how_long_each_is(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, {"source": "a.en", "target": "short.de"}).faults
    assert fault.code == "data.lines-differ"
    assert "3 lines in" in fault.found
    assert "1 lines in" in fault.found
    assert fault.line == 2


def test_an_empty_line_to_write_is_told_with_its_line(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, {"source": "a.en", "target": "gap.de"}).faults
    assert (fault.code, fault.line, fault.field) == ("data.written-kind", 2, "target")


def test_every_file_that_is_missing_is_named(tmp_path: Path) -> None:
    faults = refused(tmp_path, {"source": "b.en", "target": "b.du"}).faults
    assert [(fault.code, fault.file) for fault in faults] == [("data.missing", "b.en"), ("data.missing", "b.du")]
    assert refused(tmp_path, {"source": "a.*", "target": "a.de"}).faults[0].code == "data.several-files"
    assert refused(tmp_path, {"sorce": "a.en", "target": "a.de"}).faults[0].code == "data.unknown-field"


def test_each_file_has_its_own_encoding(tmp_path: Path) -> None:
    found = rows_of(tmp_path, {"source": "zh.txt", "target": "short.de"})
    assert found.row(0) == {"source": "一二三四五六七八九十", "target": "eins"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"path": "a", "lines": {"source": "a"}},
        {"lines": {"source": "a"}, "format": "csv"},
        {"lines": {"source": []}},
    ],
)
def test_a_source_is_a_path_or_lines(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(values)

"""Rows for prediction come in bounded batches, from files and from standard input."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import hone.data.read as reading
from hone.core.errors import DataError
from hone.data.fields import Field
from hone.data.read import read_stream

TEXT = (Field("text", "text"),)
TOKENS = (Field("tokens", "tokens"),)


def texts(batches: Iterator[dict[str, list[object]]]) -> list[list[object]]:
    return [batch["text"] for batch in batches]


def stdin(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")


def test_a_file_comes_in_batches_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 3)
    file = tmp_path / "a.txt"
    file.write_text("".join(f"t{i}\n" for i in range(7)), encoding="utf-8")
    assert texts(read_stream(file, TEXT)) == [["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"]]


def test_long_texts_make_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHARACTERS_AT_ONCE", 10)
    file = tmp_path / "a.txt"
    file.write_text("\n".join(["1234", "123456", "x" * 50, "y", "z"]), encoding="utf-8")
    assert texts(read_stream(file, TEXT)) == [["1234", "123456"], ["x" * 50], ["y", "z"]]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 100)
    file = tmp_path / "a.jsonl"

    def peak(rows: int) -> int:
        file.write_text("".join(json.dumps({"text": f"row {i} " * 50}) + "\n" for i in range(rows)), encoding="utf-8")
        tracemalloc.start()
        try:
            assert sum(len(batch["text"]) for batch in read_stream(file, TEXT)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)  # what is imported or compiled on first use
    assert peak(8000) < 1.5 * peak(400)


def test_a_glob_streams_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "two"}\n', encoding="utf-8")
    assert texts(read_stream(tmp_path / "*.*", TEXT)) == [["one"], ["two"]]


def test_columns_are_read_under_the_names_they_have(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body\nhello\n", encoding="utf-8")
    assert texts(read_stream(tmp_path / "a.csv", TEXT, columns={"text": "body"})) == [["hello"]]


def test_words_in_a_csv_cell_are_parted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("tokens\nAda is\n", encoding="utf-8")
    assert list(read_stream(tmp_path / "a.csv", TOKENS)) == [{"tokens": [["Ada", "is"]]}]


def test_faults_of_a_batch_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": 1}\n{"text": "fine"}\n{"text": null}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read_stream(tmp_path / "a.jsonl", TEXT))
    assert [(fault.line, fault.field) for fault in caught.value.faults] == [(1, "text"), (3, "text")]


def test_batches_before_a_faulty_one_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 2)
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{\n', encoding="utf-8")
    stream = read_stream(tmp_path / "a.jsonl", TEXT)
    assert next(stream) == {"text": ["a", "b"]}
    with pytest.raises(DataError):
        next(stream)


def test_standard_input_of_objects_is_jsonl() -> None:
    assert texts(read_stream(stdin(b'{"text": "a"}\n{"text": "b"}\n'), TEXT)) == [["a", "b"]]


def test_standard_input_of_anything_else_is_a_text_a_line() -> None:
    assert texts(read_stream(stdin("你好\r\n\nb\n".encode()), TEXT)) == [["你好", "b"]]


def test_standard_input_may_begin_with_a_bom() -> None:
    assert texts(read_stream(stdin(b'\xef\xbb\xbf{"text": "a"}\n'), TEXT)) == [["a"]]


def test_standard_input_may_be_any_stream_of_text_in_a_stated_format() -> None:
    assert texts(read_stream(io.StringIO("text,n\na,1\n"), TEXT, format="csv")) == [["a"]]


def test_empty_standard_input_has_no_rows() -> None:
    assert list(read_stream(stdin(b""), TEXT)) == []


def test_standard_input_in_another_encoding_is_told_by_line() -> None:
    with pytest.raises(DataError) as caught:
        list(read_stream(stdin(b"fine\nfine\ncaf\xe9\n"), TEXT))
    (fault,) = caught.value.faults
    assert (fault.code, fault.file, fault.line) == ("data.encoding", "standard input", 3)


def test_faults_of_standard_input_are_placed_there() -> None:
    with pytest.raises(DataError) as caught:
        list(read_stream(stdin(b'{"text": "a"}\n{"body": "b"}\n'), TEXT))
    (fault,) = caught.value.faults
    assert (fault.code, fault.file, fault.line, fault.field) == ("data.column-missing", "standard input", 2, "text")

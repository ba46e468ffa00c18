"""Rows for prediction come in bounded batches, from files and from standard input."""

from __future__ import annotations

import io
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hone.data.checked as reading
from hone.core.errors import DataError
from hone.data.fields import Field
from hone.data.stream import read_stream

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
    assert texts(read_stream(stdin("你好\r\n\nb\n".encode()), TEXT)) == [["你好", "", "b"]]


def test_standard_input_may_begin_with_a_blank_line() -> None:
    assert texts(read_stream(stdin(b"\nb\n"), TEXT)) == [["", "b"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"tokens": ["a"]}\n', {"tokens": [["a"]]}),
        (b'{"text": "a"}\n', {"text": ["a"]}),
        (b'{"text": "a", "tokens": ["b"]}\n', {"tokens": [["b"]]}),
        (b"a\n", {"text": ["a"]}),
    ],
)
def test_standard_input_is_read_for_the_first_set_of_fields_it_has(
    content: bytes, expected: dict[str, list[object]]
) -> None:
    assert list(read_stream(stdin(content), TOKENS, TEXT)) == [expected]


def test_each_file_is_read_for_the_first_set_of_fields_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"tokens": ["a"]}\n{"tokens": ["b"]}\n', encoding="utf-8")
    (tmp_path / "b.csv").write_text("text\nc d\n", encoding="utf-8")
    (tmp_path / "c.bio").write_text("e\nf\n", encoding="utf-8")
    pq.write_table(pa.table({"n": [1], "text": ["g"]}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"text": ["g"], "tokens": [["h"]]}), tmp_path / "e.parquet")
    assert list(read_stream(tmp_path / "*.*", TOKENS, TEXT)) == [
        {"tokens": [["a"], ["b"]]},
        {"text": ["c d"]},
        {"tokens": [["e", "f"]]},
        {"text": ["g"]},
        {"tokens": [["h"]]},
    ]


def test_the_set_of_fields_is_chosen_by_the_names_that_columns_have(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"words": ["a"], "text": "b"}\n', encoding="utf-8")
    assert list(read_stream(tmp_path / "a.jsonl", TOKENS, TEXT, columns={"tokens": "words"})) == [{"tokens": [["a"]]}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_file_with_no_set_of_fields_misses_the_last_one(tmp_path: Path, name: str) -> None:
    if name == "a.parquet":
        pq.write_table(pa.table({"body": ["x"]}), tmp_path / name)
    else:
        (tmp_path / name).write_text('{"body": "x"}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read_stream(tmp_path / name, TOKENS, TEXT))
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("data.column-missing", "text")]


def test_a_broken_first_line_does_not_decide_the_set_of_fields() -> None:
    with pytest.raises(DataError) as caught:
        list(read_stream(stdin(b'{"tokens"\n{"tokens": ["a"]}\n'), TOKENS, TEXT))
    assert [(fault.code, fault.line) for fault in caught.value.faults] == [("data.broken-json", 1)]


def test_a_column_for_a_field_of_no_set_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        list(read_stream(stdin(b"a\n"), TOKENS, TEXT, columns={"token": "words"}))
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("data.unknown-field", "token")]
    assert "'tokens'" in caught.value.faults[0].fix


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [("pipe", b'{"text": "a"}\n', ["a"]), ("pipe", b"a\n\n", ["a", ""]), ("pipe.csv", b"text,n\nb,1\n", ["b"])],
)
def test_a_pipe_is_read_once(tmp_path: Path, name: str, content: bytes, expected: list[object]) -> None:
    os.mkfifo(tmp_path / name)
    writer = threading.Thread(target=(tmp_path / name).write_bytes, args=(content,), daemon=True)
    writer.start()
    assert texts(read_stream(tmp_path / name, TEXT)) == [expected]
    writer.join()


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


@pytest.mark.parametrize("content", [b'[{"text": "a"}]\n', b' [\n{"text": "a"}]\n', b'["a", "b"]'])
def test_a_json_array_is_not_taken_for_texts(content: bytes) -> None:
    with pytest.raises(DataError, match="JSON array") as caught:
        list(read_stream(stdin(content), TEXT))
    assert caught.value.code == "data.json-array"


def test_a_text_may_begin_with_a_bracket() -> None:
    assert texts(read_stream(stdin(b"[laughs] hi\n[1] see above\n"), TEXT)) == [["[laughs] hi", "[1] see above"]]


def test_files_and_lines_of_each_batch_are_told_before_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 2)
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n\n{"text": "b"}\n{"text": "c"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "d"}\n')
    told: list[tuple[str, list[int]]] = []
    batches = read_stream(tmp_path / "*.jsonl", TEXT, placed=lambda file, lines: told.append((file, list(lines))))
    assert next(batches) == {"text": ["a", "b"]}
    assert told == [(str(tmp_path / "a.jsonl"), [1, 3])]
    list(batches)
    assert told[1:] == [(str(tmp_path / "a.jsonl"), [4]), (str(tmp_path / "b.jsonl"), [1])]


OWN = (Field("text", "text"), Field("required_words", "words", required=False), Field("prompt", "text", required=False))


def test_words_of_a_row_are_read_wherever_they_first_stand() -> None:
    lines = '{"text": "a"}\n{"text": "b", "required_words": ["x"]}\n{"text": "c", "required_words": null}\n'
    (batch,) = read_stream(io.StringIO(lines), OWN)
    assert batch == {"text": ["a", "b", "c"], "required_words": [[], ["x"], []]}
    (batch,) = read_stream(io.StringIO('{"text": "a"}\n'), OWN)
    assert batch == {"text": ["a"]}


def test_a_column_that_was_named_and_that_no_row_has_is_told() -> None:
    rows = '{"text": "a"}\n{"text": "b", "must": ["x"]}\n'
    (batch,) = read_stream(io.StringIO(rows), OWN, columns={"required_words": "must"})
    assert batch == {"text": ["a", "b"], "required_words": [[], ["x"]]}
    for name in ("required_words", "prompt"):
        with pytest.raises(DataError) as refused:
            list(read_stream(io.StringIO(rows), OWN, columns={name: "mist"}))
        assert refused.value.faults[0].code == "data.column-missing"
        assert refused.value.faults[0].field == "mist"


def test_a_column_that_was_named_may_be_in_one_file_of_several(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "b", "must": ["x"]}\n')
    found = list(read_stream(tmp_path / "*.jsonl", OWN, columns={"required_words": "must"}))
    assert found == [{"text": ["a"]}, {"text": ["b"], "required_words": [["x"]]}]
    with pytest.raises(DataError) as refused:
        list(read_stream(tmp_path / "*.jsonl", OWN, columns={"required_words": "mist"}))
    assert [fault.field for fault in refused.value.faults] == ["mist"]


def test_of_no_rows_no_column_is_missed() -> None:
    assert list(read_stream(io.StringIO(""), OWN, columns={"required_words": "must"})) == []


def test_what_the_first_row_does_not_have_later_ones_may_not() -> None:
    with pytest.raises(DataError) as refused:
        list(read_stream(io.StringIO('{"text": "a"}\n{"text": "b", "prompt": "c"}\n'), OWN))
    (fault,) = refused.value.faults
    assert (fault.code, fault.line, fault.field) == ("data.column-late", 2, "prompt")

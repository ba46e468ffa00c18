"""Each file format gives its raw rows with their lines, and a fault for what cannot be parsed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hone.core.errors import Fault
from hone.data.formats import TEXT_FORMATS, parquet


def rows(kind: str, content: str) -> list[Any]:
    """Rows as ``(line, row)`` and faults as ``(code, line, field)``."""
    return [shown(each) for each in TEXT_FORMATS[kind](io.StringIO(content, newline=""), "file")]


def shown(each: Any) -> Any:
    if isinstance(each, Fault):
        assert each.file == "file"
        return each.code, each.line, each.field
    return each


def test_jsonl_is_an_object_a_line() -> None:
    content = '{"text": "a", "n": 1}\r\n\n  {"text": "b\\nc"}'
    assert rows("jsonl", content) == [(1, {"text": "a", "n": 1}), (3, {"text": "b\nc"})]


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        ('{"text": "a"', "data.broken-json", ""),
        ("{'text': 'a'}", "data.broken-json", ""),
        ('{"text": "a"} {"text": "b"}', "data.broken-json", ""),
        ('{"text": "a\tb"}', "data.broken-json", ""),
        ("[" * 100_000, "data.broken-json", ""),
        ('{"label": ' + "9" * 5000 + "}", "data.broken-json", ""),
        ('["a"]', "data.not-an-object", ""),
        ("null", "data.not-an-object", ""),
        ('{"text": "a", "text": "b"}', "data.duplicate-column", "text"),
    ],
)
def test_a_broken_json_line_is_a_fault_and_the_next_line_is_read(line: str, code: str, field: str) -> None:
    assert rows("jsonl", f'\n{line}\n{{"text": "fine"}}\n') == [(code, 2, field), (3, {"text": "fine"})]


@pytest.mark.parametrize(
    ("line", "found"), [('{"text": "a"', "broken JSON at column 13: "), ("[1]", "a list"), ("null", "null")]
)
def test_what_is_broken_is_told(line: str, found: str) -> None:
    (fault,) = TEXT_FORMATS["jsonl"](io.StringIO(f"{line}\n"), "f")
    assert isinstance(fault, Fault)
    assert fault.found.startswith(found)


def test_csv_cells_come_by_column_and_a_quoted_cell_spans_lines() -> None:
    content = 'text, label\n"a, ""b""\nc",x\nd,\n\ne,y\n'
    assert rows("csv", content) == [
        (2, {"text": 'a, "b"\nc', "label": "x"}),
        (4, {"text": "d", "label": None}),
        (6, {"text": "e", "label": "y"}),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_lines_end_in_any_way(end: str) -> None:
    assert rows("csv", end.join(["text", "a", "b", ""])) == [(2, {"text": "a"}), (3, {"text": "b"})]


def test_tsv_is_parted_by_tabs() -> None:
    assert rows("tsv", "text\tlabel\na, b\tx\n") == [(2, {"text": "a, b", "label": "x"})]


def test_ragged_csv_rows_are_faults_and_the_others_are_read() -> None:
    content = "text,label\na,x,extra\nb,y\nc\n"
    assert rows("csv", content) == [
        ("data.ragged-row", 2, ""),
        (3, {"text": "b", "label": "y"}),
        ("data.ragged-row", 4, ""),
    ]


def test_a_column_that_stands_twice_is_named() -> None:
    assert rows("csv", "\ntext,label, text\na,b,c\n") == [("data.duplicate-column", 2, "text")]


@pytest.mark.parametrize(("content", "line"), [('t\na\n"b\nc\n', 3), ('t,u\na,b\n"c"d,e\nf,g\n', 3)])
def test_broken_quoting_ends_the_file_at_the_line_it_began(content: str, line: int) -> None:
    assert rows("csv", content)[-1] == ("data.broken-csv", line, "")


def test_a_cell_may_hold_megabytes() -> None:
    ((_, row),) = rows("csv", "text\n" + "x" * 3_000_000 + "\n")
    assert len(row["text"]) == 3_000_000


def test_a_header_alone_or_nothing_has_no_rows() -> None:
    assert rows("csv", "text,label\n") == rows("csv", "") == rows("jsonl", "") == rows("conll", "\n\n") == []


def test_conll_takes_the_first_and_last_column_and_ends_a_sentence_at_a_blank_line() -> None:
    content = "-DOCSTART- -X- O\n\n# id = 3\nAda NNP B-PER\nruns VBZ O\n\n\nNo DT O\n"
    assert rows("conll", content) == [
        (4, {"tokens": ["Ada", "runs"], "tags": ["B-PER", "O"]}),
        (8, {"tokens": ["No"], "tags": ["O"]}),
    ]


def test_a_hash_inside_a_sentence_is_a_token() -> None:
    assert rows("conll", "a O\n# O\n") == [(1, {"tokens": ["a", "#"], "tags": ["O", "O"]})]
    assert rows("conll", "# O\na O\n") == [(1, {"tokens": ["#", "a"], "tags": ["O", "O"]})]


def test_a_conll_line_of_another_width_is_a_fault() -> None:
    assert rows("conll", "a O\nb X O\nc\nd O\n") == [
        ("data.ragged-row", 2, ""),
        ("data.ragged-row", 3, ""),
        (1, {"tokens": ["a", "d"], "tags": ["O", "O"]}),
    ]


def test_conll_of_one_column_has_tokens_and_no_tags() -> None:
    assert rows("conll", "a\nb\n\nc\n") == [(1, {"tokens": ["a", "b"]}), (4, {"tokens": ["c"]})]


def test_plain_text_is_a_text_a_line_with_its_own_spaces() -> None:
    assert rows("text", " a \r\nb\x0bc\n") == [(1, {"text": " a "}), (2, {"text": "b\x0bc"})]


def test_a_blank_line_of_plain_text_is_a_blank_text() -> None:
    assert rows("text", "\na\n\r\n") == [(1, {"text": ""}), (2, {"text": "a"}), (3, {"text": ""})]


@pytest.mark.parametrize(
    "content", ['[{"text": "a"}, {"text": "b"}]', '\n[\n  {"text": "a"},\n  {"text": "b"}\n]\n', ' [ {"text":\n"a"}]']
)
def test_one_json_array_is_one_fault(content: str) -> None:
    ((code, line, _),) = rows("jsonl", content)
    assert (code, content.splitlines()[line - 1].strip()[0]) == ("data.json-array", "[")


def test_an_array_after_the_first_row_is_a_fault_of_its_line() -> None:
    assert rows("jsonl", '{"text": "a"}\n[{"text": "b"}]\n{"text": "c"}\n') == [
        (1, {"text": "a"}),
        ("data.not-an-object", 2, ""),
        (3, {"text": "c"}),
    ]


def written(folder: Path, columns: dict[str, list[Any]]) -> Path:
    file = folder / "rows.parquet"
    pq.write_table(pa.table(columns), file, compression="none", use_dictionary=False)
    return file


def parquet_rows(file: Path, wanted: list[str]) -> list[Any]:
    return [shown(each) for each in parquet(file, "file", wanted)]


def test_parquet_rows_are_numbered_and_hold_the_wanted_columns(tmp_path: Path) -> None:
    file = written(tmp_path, {"text": ["a", None], "label": [1, 0], "other": [[1], [2]]})
    assert parquet_rows(file, ["text", "label"]) == [(1, {"text": "a", "label": 1}), (2, {"text": None, "label": 0})]


def test_a_parquet_file_without_a_wanted_column_names_it(tmp_path: Path) -> None:
    file = written(tmp_path, {"txt": ["a"]})
    assert parquet_rows(file, ["text", "label"]) == [
        ("data.column-missing", None, "text"),
        ("data.column-missing", None, "label"),
    ]
    first = next(parquet(file, "file", ["text"]))
    assert isinstance(first, Fault)
    assert "'txt'" in first.fix


def test_a_parquet_column_that_stands_twice_is_named(tmp_path: Path) -> None:
    file = tmp_path / "twice.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), file)
    assert parquet_rows(file, ["text"]) == [("data.duplicate-column", None, "text")]


def test_what_is_no_parquet_file_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"hello")
    assert parquet_rows(file, ["text"]) == [("data.binary", None, "")]


def test_a_damaged_page_of_a_parquet_file_is_a_fault(tmp_path: Path) -> None:
    file = written(tmp_path, {"text": ["word"] * 5000})
    data = file.read_bytes()
    file.write_bytes(data[:4] + b"\xff" * 26 + data[30:])
    assert parquet_rows(file, ["text"]) == [("data.binary", 1, "")]


def test_damaged_text_in_a_parquet_file_is_a_fault_of_its_row(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(300)]
    file = written(tmp_path, {"text": [*texts, "words", *texts], "label": list(range(601))})
    data = file.read_bytes()
    file.write_bytes(data.replace(b"words", b"wor\xff\xfe"))
    rows = parquet_rows(file, ["label", "text"])
    assert rows[300] == ("data.encoding", 301, "text")
    expected = [(i + 1, {"label": i, "text": text}) for i, text in enumerate([*texts, "", *texts])]
    assert [*rows[:300], *rows[301:]] == [*expected[:300], *expected[301:]]


def test_few_rows_of_a_parquet_file_are_in_memory_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, {"text": [f"{i:06}" * 2000 for i in range(4000)]})
    before = pa.total_allocated_bytes()
    rows = parquet(file, "file", ["text"])
    first = next(rows)
    assert pa.total_allocated_bytes() - before < 4000 * 6 * 2000 / 2
    assert not isinstance(first, Fault)
    assert sum(1 for _ in rows) == 3999

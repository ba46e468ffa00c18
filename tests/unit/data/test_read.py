"""A source becomes rows, or one error in which every fault has its file, line, field, and what stands there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hone.data.checked as reading
import hone.data.read as reader
from hone.core.errors import DataError
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source

FIELDS = (Field("text", "text"), Field("label", "label"))
TAGGING = (Field("tokens", "tokens"), Field("tags", "tags"))


def opened(folder: Path, path: str, fields: tuple[Field, ...] = FIELDS, **more: Any) -> Dataset:
    return read(Source(path=path, **more), fields, name="train", base=folder, cache=folder / "cache")


def refused(folder: Path, path: str, fields: tuple[Field, ...] = FIELDS, **more: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(folder, path, fields, **more)
    assert list((folder / "cache").rglob("*.arrow")) == []
    assert list((folder / "cache").rglob(".*")) == []
    return caught.value


def write(folder: Path, name: str, content: str | bytes) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


ROWS = {"text": ["hi, there", "bye"], "label": ["x", "y"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "hi, there", "label": "x"}\n{"text": "bye", "label": "y"}\n'),
        ("a.ndjson", '{"text": "hi, there", "label": "x"}\n{"text": "bye", "label": "y"}\n'),
        ("a.csv", 'label,text\nx,"hi, there"\ny,bye\n'),
        ("A.CSV", '\ufeffid,label,text\n1,x,"hi, there"\n2,y,bye\n'),
        ("a.tsv", "text\tlabel\nhi, there\tx\nbye\ty\n"),
    ],
)
def test_every_text_format_gives_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    dataset = opened(tmp_path, write(tmp_path, name, content))
    assert {key: dataset.column(key) for key in dataset.columns} == ROWS


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({**ROWS, "n": [1, 2]}), tmp_path / "a.parquet")
    dataset = opened(tmp_path, "a.parquet")
    assert {key: dataset.column(key) for key in dataset.columns} == ROWS
    assert dataset.place(1) == (str(tmp_path / "a.parquet"), 2)


def test_plain_text_files_give_a_text_a_line(tmp_path: Path) -> None:
    dataset = opened(tmp_path, write(tmp_path, "a.txt", "one\n\ntwo\n"), FIELDS[:1])
    assert dataset.column("text") == ["one", "", "two"]
    assert dataset.place(2)[1] == 3


def test_conll_and_csv_give_the_same_tagging_rows(tmp_path: Path) -> None:
    one = opened(tmp_path, write(tmp_path, "a.bio", "Ada B-PER\nis O\n\nNo O\n"), TAGGING)
    other = opened(tmp_path, write(tmp_path, "a.csv", "tokens,tags\nAda is,B-PER O\nNo,O\n"), TAGGING)
    assert one.column("tokens") == other.column("tokens") == [["Ada", "is"], ["No"]]
    assert one.column("tags") == other.column("tags") == [["B-PER", "O"], ["O"]]


def test_gb18030_files_are_read(tmp_path: Path) -> None:
    dataset = opened(
        tmp_path, write(tmp_path, "a.csv", "text,label\n我想退款,退款\n忘记密码了,密码\n".encode("gb18030"))
    )
    assert dataset.column("label") == ["退款", "密码"]


def test_a_stated_format_goes_before_the_suffix(tmp_path: Path) -> None:
    assert len(opened(tmp_path, write(tmp_path, "a.dat", jsonl({"text": "a", "label": "x"})), format="jsonl")) == 1


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    name = write(tmp_path, "a.csv", "body,intent\na,x\n")
    assert opened(tmp_path, name, columns={"text": "body", "label": "intent"}).row(0) == {"text": "a", "label": "x"}


def test_a_column_for_a_field_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path, "a.csv", "body,label\na,x\n")
    error = refused(tmp_path, name, columns={"txt": "body", "label": "label"})
    assert [(f.code, f.file, f.field) for f in error.faults] == [("data.unknown-field", "a.csv", "txt")]
    assert "'text'" in error.faults[0].fix


def test_training_rows_from_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = refused(tmp_path, "pipe")
    assert [(f.code, f.file) for f in error.faults] == [("data.pipe", str(tmp_path / "pipe"))]


def test_conll_without_tags_is_refused_where_tags_are_learned(tmp_path: Path) -> None:
    error = refused(tmp_path, write(tmp_path, "a.bio", "Ada\nis\n\nNo\n"), TAGGING)
    assert [(f.code, f.line, f.field) for f in error.faults] == [("data.column-missing", 1, "tags")]


def test_a_missing_file_says_where_relative_paths_start(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(tmp_path, "no.jsonl").faults[0].fix


def test_a_missing_file_at_an_absolute_path_says_no_start(tmp_path: Path) -> None:
    assert refused(tmp_path, str(tmp_path / "no" / "no.jsonl")).faults[0].fix == ""


def test_a_glob_reads_all_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "shards/b.jsonl", jsonl({"text": "2", "label": "x"}))
    write(tmp_path, "shards/a.csv", "text,label\n0,x\n1,y\n")
    dataset = opened(tmp_path, "shards/*")
    assert dataset.column("text") == ["0", "1", "2"]
    assert [dataset.place(i) for i in range(3)] == [
        (str(tmp_path / "shards/a.csv"), 2),
        (str(tmp_path / "shards/a.csv"), 3),
        (str(tmp_path / "shards/b.jsonl"), 1),
    ]


def test_two_asterisks_reach_into_every_folder(tmp_path: Path) -> None:
    write(tmp_path, "d/a.txt", "one\n")
    write(tmp_path, "d/e/f/b.txt", "two\n")
    assert opened(tmp_path, "d/**/*.txt", FIELDS[:1]).column("text") == ["one", "two"]


def test_brackets_in_the_recipes_folder_are_no_glob(tmp_path: Path) -> None:
    folder = tmp_path / "run [1]"
    write(folder, "a.txt", "one\n")
    assert opened(folder, "*.txt", FIELDS[:1]).column("text") == ["one"]


def test_a_file_whose_name_looks_like_a_glob_is_read(tmp_path: Path) -> None:
    assert len(opened(tmp_path, write(tmp_path, "a[1].txt", "one\n"), FIELDS[:1])) == 1


def test_an_absolute_path_does_not_start_at_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "one\n")
    assert len(opened(tmp_path / "elsewhere", str(tmp_path / "a.*"), FIELDS[:1])) == 1


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "a.txt", "one\n")
    assert len(opened(tmp_path / "elsewhere", "~/a.txt", FIELDS[:1])) == 1


def test_the_same_rows_are_read_from_the_cache(tmp_path: Path) -> None:
    name = write(tmp_path, "a.jsonl", jsonl({"text": "a", "label": "x"}))
    one = opened(tmp_path, name)
    (kept,) = (tmp_path / "cache").rglob("*.arrow")
    before = kept.stat().st_mtime_ns
    assert opened(tmp_path, name).slice(0, 9) == one.slice(0, 9)
    assert kept.stat().st_mtime_ns == before


def test_rows_beyond_one_batch_keep_their_order_and_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 4)
    dataset = opened(tmp_path, write(tmp_path, "a.txt", "".join(f"t{i}\n" for i in range(11))), FIELDS[:1])
    assert dataset.column("text") == [f"t{i}" for i in range(11)]
    assert [dataset.place(i)[1] for i in range(11)] == list(range(1, 12))


def test_all_faults_of_all_files_are_reported_together_with_their_place(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl({"text": "a", "label": "x"}, {"text": None, "label": 1.5}) + "{broken\n")
    write(tmp_path, "b.csv", "text,label\na,x,y\nb,z\n")
    write(tmp_path, "c.jsonl", "\n\n")
    error = refused(tmp_path, "*.*")
    assert [(Path(f.file).name, f.line, f.field, f.code) for f in error.faults] == [
        ("a.jsonl", 2, "text", "data.null"),
        ("a.jsonl", 2, "label", "data.label-kind"),
        ("a.jsonl", 3, "", "data.broken-json"),
        ("b.csv", 2, "", "data.ragged-row"),
        ("c.jsonl", None, "", "data.empty"),
    ]
    assert all(f.found and f.expected for f in error.faults)
    assert error.code == "data.null"
    assert "5 faults" in error.found
    for fault in error.faults:
        assert str(fault) in str(error)


@pytest.mark.parametrize("rows_at_once", [7, 4096])
def test_fifty_faults_are_named_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", rows_at_once)
    error = refused(tmp_path, write(tmp_path, "a.csv", "text,label\n" + "a\n" * 120))
    assert [f.line for f in error.faults] == list(range(2, 52))
    assert "120 faults" in str(error)
    assert "70 more" in str(error)


def test_many_faulty_files_name_fifty_faults_too(tmp_path: Path) -> None:
    for i in range(60):
        write(tmp_path, f"d/{i:02d}.jsonl", "\n")
    write(tmp_path, "d/99.jsonl", "{\n" * 9)
    error = refused(tmp_path, "d/*")
    assert len(error.faults) == 50
    assert "69 faults" in str(error)


def test_a_column_missing_everywhere_is_said_once(tmp_path: Path) -> None:
    error = refused(tmp_path, write(tmp_path, "a.csv", "txt,label\n" + "a,x\n" * 9))
    assert [(f.code, f.line, f.field) for f in error.faults] == [("data.column-missing", 2, "text")]
    assert "'txt'" in error.faults[0].fix


def test_a_key_missing_here_and_there_is_said_of_each_row(tmp_path: Path) -> None:
    rows: list[dict[str, str]] = [
        {"text": "a", "label": "x"},
        {"text": "b"},
        {"text": "c", "label": "x"},
        {"text": "d"},
    ]
    error = refused(tmp_path, write(tmp_path, "a.jsonl", jsonl(*rows)))
    assert [(f.code, f.line, f.field) for f in error.faults] == [
        ("data.column-missing", 2, "label"),
        ("data.column-missing", 4, "label"),
    ]


def test_a_missing_file_is_named_with_those_like_it(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", "{}")
    error = refused(tmp_path, "trian.jsonl")
    assert [(f.code, f.file) for f in error.faults] == [("data.missing", "trian.jsonl")]
    assert "train.jsonl" in str(error)


@pytest.mark.parametrize("path", ["nothing/here.jsonl", "*.jsonl"])
def test_nothing_at_a_path_is_an_error(tmp_path: Path, path: str) -> None:
    assert refused(tmp_path, path).code == "data.missing"


def test_all_unusable_files_of_a_glob_are_named(tmp_path: Path) -> None:
    (tmp_path / "d/sub").mkdir(parents=True)
    write(tmp_path, "d/empty.jsonl", "")
    write(tmp_path, "d/good.jsonl", "{}")
    os.symlink(tmp_path / "gone", tmp_path / "d/link.jsonl")
    assert [(f.code, Path(f.file).name) for f in refused(tmp_path, "d/*").faults] == [
        ("data.empty", "empty.jsonl"),
        ("data.unreadable", "link.jsonl"),
        ("data.folder", "sub"),
    ]


def test_all_unknown_suffixes_are_named(tmp_path: Path) -> None:
    for name in ("d/a.xlsx", "d/b", "d/c.csv"):
        write(tmp_path, name, "text,label\na,x\n")
    error = refused(tmp_path, "d/*")
    assert [(f.code, Path(f.file).name) for f in error.faults] == [("data.format", "a.xlsx"), ("data.format", "b")]


def test_all_binary_files_of_a_glob_are_named(tmp_path: Path) -> None:
    write(tmp_path, "d/a.csv", b"PK\x03\x04rest")
    write(tmp_path, "d/b.csv", b"text,label\na,\xe9\n")
    error = refused(tmp_path, "d/*")
    assert [(f.code, Path(f.file).name) for f in error.faults] == [("data.binary", "a.csv"), ("data.encoding", "b.csv")]


def test_a_faulty_file_that_is_mended_is_read(tmp_path: Path) -> None:
    name = write(tmp_path, "a.jsonl", "{\n")
    refused(tmp_path, name)
    write(tmp_path, name, jsonl({"text": "a", "label": "x"}))
    assert len(opened(tmp_path, name)) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("has", [True, False])
def test_a_field_that_is_not_required_is_read_where_it_is_there(suffix: str, has: bool, tmp_path: Path) -> None:
    rows = [{"text": "one", **({"score": 1.5} if has else {})}]
    path = tmp_path / f"rows.{suffix}"
    if suffix == "jsonl":
        path.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    fields = [Field("text", "text"), Field("score", "score", required=False)]
    data = read(Source(path=str(path)), fields, name="train", base=tmp_path, cache=tmp_path / "cache")
    assert data.columns == (("text", "score") if has else ("text",))
    assert data.having(fields) == list(data.columns)


def test_a_file_that_has_a_field_too_late_is_refused_whatever_else_was_read_of_it(tmp_path: Path) -> None:
    name = write(tmp_path, "a.jsonl", jsonl({"text": "a"}, {"text": "b", "id": "2"}))
    text = Field("text", "text")
    assert len(opened(tmp_path, name, (text,))) == 2
    with pytest.raises(DataError) as caught:
        opened(tmp_path, name, (text, Field("id", "label", required=False)))
    assert [(one.code, one.line, one.field) for one in caught.value.faults] == [("data.column-late", 2, "id")]


@pytest.mark.parametrize("source", [{"path": "a.txt"}, {"lines": {"text": "a.txt"}}])
@pytest.mark.parametrize(("change", "code"), [("grow", "data.changed"), ("vanish", "data.vanished")])
def test_a_file_that_changes_while_it_is_read_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: dict[str, Any], change: str, code: str
) -> None:
    path = tmp_path / write(tmp_path, "a.txt", "one\ntwo\n")
    real = reader.checked

    def meanwhile(*args: Any) -> Any:
        yield from real(*args)
        if change == "grow":
            with path.open("a") as file:
                file.write("more\n")
        else:
            path.unlink()

    monkeypatch.setattr(reader, "checked", meanwhile)
    with pytest.raises(DataError) as caught:
        read(Source(**source), FIELDS[:1], name="train", base=tmp_path, cache=tmp_path / "cache")
    assert [(one.code, one.file) for one in caught.value.faults] == [(code, str(path))]
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


def test_words_are_read_wherever_they_first_stand(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    fields = [Field("text", "text"), Field("bad_words", "words", required=False)]

    def columns_of(*rows: dict[str, Any]) -> dict[str, list[Any]]:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data = read(Source(path=str(path)), fields, name="train", base=tmp_path, cache=tmp_path / "cache")
        return data.slice(0, len(data))

    assert columns_of({"text": "a"}, {"text": "b", "bad_words": ["x"]})["bad_words"] == [[], ["x"]]
    assert "bad_words" not in columns_of({"text": "a", "bad_words": []})


def test_a_column_that_is_named_for_words_is_in_some_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    fields = [Field("text", "text"), Field("bad_words", "words", required=False)]
    source = Source(path=str(path), columns={"bad_words": "never"})

    def read_rows(*rows: dict[str, Any]) -> Dataset:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return read(source, fields, name="train", base=tmp_path, cache=tmp_path / "cache")

    assert len(read_rows({"text": "a"}, {"text": "b", "never": []})) == 2
    with pytest.raises(DataError) as refused:
        read_rows({"text": "a"}, {"text": "b", "nevr": ["x"]})
    (fault,) = refused.value.faults
    assert (fault.code, fault.field) == ("data.column-missing", "never")

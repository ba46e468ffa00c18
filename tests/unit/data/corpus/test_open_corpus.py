"""Files become documents, with a card of what was taken; what cannot be read is told with file, line and offset."""

from __future__ import annotations

import gzip
import json
import os
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hone.core.errors import DataError, HoneError
from hone.core.settings import check_settings
from hone.data.corpus import scan as scanning
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.corpus.settings import CorpusSettings


def opened(folder: Path, path: Any = None, **more: Any) -> Corpus:
    values = more if path is None else {"path": path, **more}
    settings, faults = check_settings(CorpusSettings, values)
    assert settings is not None, faults
    return open_corpus(settings, base=folder, cache=folder / "cache")


def refused(folder: Path, path: Any, **more: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(folder, path, **more)
    left = [] if caught.value.code == "data.empty" else list((folder / "cache").rglob("*.arrow"))
    assert [*left, *(folder / "cache").rglob(".*")] == []
    assert caught.value.exit_code == 2
    return caught.value


def write(folder: Path, name: str, content: str | bytes) -> str:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def texts(corpus: Corpus) -> list[str]:
    return [document.text for document in corpus]


@pytest.mark.parametrize(
    ("parted", "expected"),
    [("blank-lines", ["one\ntwo", "three"]), ("lines", ["one", "two", "three"]), ("file", ["one\ntwo\n\n\nthree"])],
)
def test_a_text_file_is_parted_as_asked(tmp_path: Path, parted: str, expected: list[str]) -> None:
    write(tmp_path, "a.txt", "\n\none\ntwo\n\n\nthree\n")
    assert texts(opened(tmp_path, "a.txt", parted=parted)) == expected


def test_rows_under_one_name_are_one_document(tmp_path: Path) -> None:
    rows = [{"doc": "x", "text": "one"}, {"doc": "x", "text": "two"}, {"doc": "y", "text": "three"}]
    write(tmp_path, "a.jsonl", jsonl(*rows))
    corpus = opened(tmp_path, "a.jsonl", document="doc")
    assert texts(corpus) == ["one\n\ntwo", "three"]
    second = corpus.document(1)
    assert (second.name, second.line, second.file) == ("y", 3, str(tmp_path / "a.jsonl"))


def test_every_format_gives_the_same_documents(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl({"body": "one"}, {"body": "two"}))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    pq.write_table(pa.table({"body": ["one", "two"]}), tmp_path / "c.parquet")
    found = [texts(opened(tmp_path, name, text="body")) for name in ("a.jsonl", "b.jsonl.gz", "c.parquet")]
    assert found == [["one", "two"]] * 3


def test_a_row_has_its_pair_where_there_is_one(tmp_path: Path) -> None:
    rows = [{"en": "one", "de": " eins "}, {"en": "two", "de": None}, {"en": "three", "de": "drei"}]
    write(tmp_path, "a.jsonl", jsonl(*rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        corpus = opened(tmp_path, name, text="en", pair="de")
        assert [(one.text, one.pair) for one in corpus] == [("one", "eins"), ("two", ""), ("three", "drei")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", "one\n", "data.no-columns"),
        ("a.jsonl", jsonl({"text": "one"}), "data.column-missing"),
        ("a.jsonl", jsonl({"text": "one", "de": 3}), "data.wrong-type"),
    ],
)
def test_a_pair_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str, code: str) -> None:
    error = refused(tmp_path, write(tmp_path, name, content), pair="de")
    assert error.faults[0].code == code


def test_a_document_is_of_the_kind_that_its_first_row_says(tmp_path: Path) -> None:
    rows = [{"d": "x", "text": "one", "lang": "en"}, {"d": "x", "text": "two", "lang": "de"},
            {"d": "y", "text": "three", "lang": None}, {"d": "z", "text": "four", "lang": "de"}]  # fmt: skip
    write(tmp_path, "a.jsonl", jsonl(*rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        corpus = opened(tmp_path, name, document="d", sampling={"by": "lang"})
        assert corpus.kinds()[1] == ["", "de", "en"]
        assert corpus.kinds()[0].tolist() == [2, 0, 1]
        assert [one.kind for one in corpus] == ["en", "", "de"]
        assert opened(tmp_path, name, document="d", sampling={"by": "lang", "power": 1}).digest == corpus.digest
    assert opened(tmp_path, name, document="d").digest != corpus.digest


def test_a_kind_may_be_said_by_a_column_that_is_read_anyway(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl({"text": "one", "book": "x"}, {"text": "two", "book": "y"}))
    opened(tmp_path, "a.jsonl", document="book")  # which keeps the documents without kinds
    assert opened(tmp_path, "a.jsonl", document="book", sampling={"by": "book"}).kinds()[1] == ["x", "y"]


def test_a_kind_of_its_own_for_each_document_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(*({"text": f"text {i}", "id": str(i)} for i in range(1001))))
    corpus = opened(tmp_path, "a.jsonl", sampling={"by": "id"})
    with pytest.raises(DataError, match="of 1,001 kinds"):
        corpus.kinds()


def test_a_long_document_is_divided_where_a_paragraph_ends(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "".join(f"{i:02d} {'x' * 40}\n" for i in range(10)))
    corpus = opened(tmp_path, "a.txt", parted="file", max_characters=100)
    assert len(corpus) == 5
    assert all(len(text) <= 100 for text in texts(corpus))
    assert "\n".join(texts(corpus)) == (tmp_path / "a.txt").read_text().strip()
    assert corpus.card.divided == 4


@pytest.mark.parametrize("between", ["\n\n", "\n \n\n", "\r\n\r\n", "\n"])
def test_a_long_row_is_divided_at_its_blank_lines_or_else_at_the_ends_of_its_lines(
    tmp_path: Path, between: str
) -> None:
    parts = [f"{i:02d} {'x' * 40}" for i in range(6)]
    rows = [{"text": between.join(parts), "doc": "a"}, {"text": "", "doc": "b"}, {"text": "short", "doc": "b"}]
    write(tmp_path, "a.jsonl", jsonl(*rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        corpus = opened(tmp_path, name, document="doc", max_characters=100)
        assert texts(corpus) == [between.join(parts[i : i + 2]) for i in (0, 2, 4)] + ["short"]
        assert [(one.name, one.line) for one in corpus] == [("a", 1)] * 3 + [("b", 2)]
        assert corpus.card.divided == 2


def test_a_blank_line_divides_a_row_before_the_end_of_a_line_does_and_nothing_divides_a_line(tmp_path: Path) -> None:
    first, second, long = "one\n\ntwo " + "x" * 40, "three " + "y" * 80, "z" * 250
    write(tmp_path, "a.jsonl", jsonl({"text": f"{first}\n{second}\n{long}\nlast"}))
    assert texts(opened(tmp_path, "a.jsonl", max_characters=100)) == [first, second, long, "last"]
    write(tmp_path, "c.jsonl", jsonl({"text": "x" * 60 + "\n\n" + "y" * 20 + "\n" + "z" * 30}))
    assert texts(opened(tmp_path, "c.jsonl", max_characters=100)) == ["x" * 60, "y" * 20 + "\n" + "z" * 30]
    write(tmp_path, "b.jsonl", jsonl({"text": f"{first}\n{second}", "de": "eins"}))
    assert len(opened(tmp_path, "b.jsonl", pair="de", max_characters=100)) == 1  # a pair is of the whole text


def test_a_row_that_goes_on_with_a_document_is_divided_as_that_is(tmp_path: Path) -> None:
    parts = ["x" * 60, "y" * 60 + "\n\n" + "z" * 60, "w"]
    rows = [{"doc": "a", "text": text} for text in parts]
    write(tmp_path, "a.jsonl", jsonl(*rows))
    found = texts(opened(tmp_path, "a.jsonl", document="doc", max_characters=100))
    assert found == ["x" * 60, "y" * 60, "z" * 60 + "\n\nw"]


def test_the_card_counts_what_each_filter_took(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "short\nlong enough text\n***************\nlong enough text\n")
    filters = [{"name": "characters", "min": 10}, "letters"]
    corpus = opened(tmp_path, "a.txt", parted="lines", filters=filters)
    assert [(one.name, one.seen, one.documents, one.characters) for one in corpus.card.taken] == [
        ("characters", 4, 1, 5),
        ("letters", 3, 1, 15),
        ("exact_duplicates", 2, 1, 16),
    ]
    assert corpus.card.taken[1].example == f"{tmp_path / 'a.txt'}:3"
    assert (corpus.card.read[0].documents, corpus.card.documents, corpus.card.characters) == (4, 1, 16)


def test_a_corpus_that_was_read_before_keeps_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt", "one\n\ntwo\n\none\n")
    first = opened(tmp_path, "a.txt")
    monkeypatch.setattr(scanning, "documents", None)
    again = opened(tmp_path, "a.txt")
    assert (again.card, again.digest, texts(again)) == (first.card, first.digest, ["one", "two"])


def test_a_lost_card_has_the_files_read_again(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "one\n\ntwo\n")
    first = opened(tmp_path, "a.txt")
    for card in (tmp_path / "cache").rglob("*.card.json"):
        card.unlink()
    assert opened(tmp_path, "a.txt").card == first.card


def test_the_digest_knows_content_and_settings_and_no_place(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        write(tmp_path, name, "one\n\ntwo\n")
    write(tmp_path, "c.txt", "one\n\nthree\n")
    a, b, c = (opened(tmp_path, name).digest for name in ("a.txt", "b.txt", "c.txt"))
    assert a == b != c
    assert opened(tmp_path, "a.txt", parted="file").digest != a


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("a.txt", b"", "data.empty", None),
        ("a.txt", b"\n \n", "data.empty", None),
        ("a.txt", b"fine\nbin\0ary\n" + b"x" * 9000, "data.binary", None),
        ("a.txt", b"x\n" * 9000 + b"\0\n", "data.binary", 9001),
        ("a.txt", b"\x89PNG\r\n\x1a\n", "data.binary", None),
        ("a.txt.gz", gzip.compress(b"one\n" * 1000, mtime=0)[:-9], "data.binary", None),
        ("a.txt", b"one\n" + b"x" * 2000 + b"\nlast\n", "data.long-line", 2),
        ("a.txt", b"one\ntwo \xff\n", "data.encoding", 2),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "data.broken-json", 2),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "data.column-missing", 2),
        ("a.jsonl", b'{"text": "a"}\n{"text": 7}\n', "data.wrong-type", 2),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "data.encoding", 1),
        ("a.doc", b"one\n", "data.format", None),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, code: str, line: int | None) -> None:
    write(tmp_path, name, content)
    error = refused(tmp_path, name, max_line_bytes=1024)
    assert error.code == code
    if error.faults and line is not None:
        assert [(fault.file, fault.line) for fault in error.faults] == [(str(tmp_path / name), line)]
    assert name in str(error)


def test_an_undecodable_byte_is_told_with_its_offset_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", b"one\ntwo \xff\n")
    assert "0xff at byte offset 8" in str(refused(tmp_path, "a.txt"))


def test_chinese_in_gb18030_is_told_from_bytes_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "贾雨村风尘怀闺秀\n".encode("gb18030"))
    assert "encoding: gb18030" in refused(tmp_path, "a.txt").faults[0].fix
    write(tmp_path, "b.txt", b"one\ntwo \xff\n")
    assert "gb18030" not in refused(tmp_path, "b.txt").faults[0].fix
    assert texts(opened(tmp_path, "a.txt", encoding="gb18030")) == ["贾雨村风尘怀闺秀"]


def test_a_column_that_a_file_does_not_have_is_one_fault_of_it(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl(*({"body": str(i)} for i in range(99))))
    write(tmp_path, "b.jsonl", jsonl(*({"body": str(i)} for i in range(9))))
    found = [(fault.file, fault.line) for fault in refused(tmp_path, "*.jsonl").faults]
    assert found == [(str(tmp_path / "a.jsonl"), 1), (str(tmp_path / "b.jsonl"), 1)]


def test_null_is_called_as_in_rows_with_labels(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl({"text": None}))
    assert refused(tmp_path, "a.jsonl").faults[0].found == "null"


def test_one_document_alone_is_told_how_to_hold_text_out(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", jsonl({"text": "one", "doc": "x"}, {"text": "two", "doc": "x"}))
    with pytest.raises(DataError, match="held_out") as raised:
        opened(tmp_path, "a.jsonl", document="doc").carve(0.1, seed=1)
    assert "document" in raised.value.fix


def test_lines_after_a_long_one_keep_their_numbers(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", b"x" * 5000 + b"\n" + b"\xfe\n" + b"y" * 1025)
    faults = refused(tmp_path, "a.txt", max_line_bytes=1024).faults
    assert [(fault.code, fault.line) for fault in faults] == [
        ("data.long-line", 1),
        ("data.encoding", 2),
        ("data.long-line", 3),
    ]
    assert "5,001 bytes" in faults[0].found
    assert "byte offset 5,001" in faults[1].found


def test_what_cannot_be_read_is_left_out_and_counted_where_asked(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", b"one\ntwo \xff\nthree\n")
    write(tmp_path, "b.txt", b"PK\x03\x04 more")
    write(tmp_path, "c.jsonl", b'{"text": "four"}\nnone\n')
    write(tmp_path, "d.txt", b"")
    corpus = opened(tmp_path, ["*.txt", "c.jsonl"], unreadable="skip")
    assert texts(corpus) == ["one", "three", "four"]
    assert corpus.card.unreadable == {"data.encoding": 1, "data.binary": 1, "data.broken-json": 1}
    assert "b.txt" in corpus.card.named[1]
    assert corpus.card.empty_files == 1


@pytest.mark.parametrize(("change", "code"), [("grow", "data.changed"), ("vanish", "data.vanished")])
def test_a_file_that_changes_while_it_is_read_ends_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, code: str
) -> None:
    path = tmp_path / write(tmp_path, "a.txt", "one\n\ntwo\n")
    write(tmp_path, "b.txt", "three")
    real = scanning.documents

    def meanwhile(*args: Any) -> Any:
        yield from real(*args)
        if change == "grow":
            with path.open("a") as file:
                file.write("more\n")
        elif path.exists():
            os.unlink(path)

    monkeypatch.setattr(scanning, "documents", meanwhile)
    error = refused(tmp_path, "*.txt", unreadable="skip")
    assert error.code == code
    assert "a.txt" in str(error)


@pytest.mark.parametrize("change", ["grow", "vanish"])
def test_a_file_that_changes_after_it_was_read_changes_nothing(tmp_path: Path, change: str) -> None:
    """As while a training goes on, which reads the documents where they are kept."""
    path = tmp_path / write(tmp_path, "a.txt", "one\n\ntwo\n")
    corpus = opened(tmp_path, "a.txt")
    if change == "grow":
        path.write_text("other words\n" * 99)
    else:
        path.unlink()
    assert texts(corpus) == ["one", "two"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_that_is_too_long_is_never_whole_in_memory(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(b'{"text": "one"}\n{"text": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n')
    tracemalloc.start()
    try:
        error = refused(tmp_path, name, max_line_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    [fault] = error.faults
    assert (fault.code, fault.line, fault.file) == ("data.long-line", 2, str(tmp_path / name))
    assert "100,000,013 bytes" in fault.found
    assert "max_line_bytes" in fault.fix


def test_a_corpus_of_which_filters_leave_nothing_says_which_took_what(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "one\n\ntwo\n")
    with pytest.raises(DataError, match="characters took 2") as caught:
        opened(tmp_path, "a.txt", filters=["characters"])
    assert caught.value.code == "data.empty"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "either a path or sources"),
        ({"path": "a", "sources": {"x": {"path": "b"}}}, "either a path or sources"),
        ({"sources": {"x": {"path": "b"}}, "text": "body"}, "text within each"),
        ({"sources": {"x": {"path": "b", "share": 0.5}, "y": {"path": "c", "share": 0.4}}}, "not 0.9"),
        ({"path": "a", "document": "d", "pair": "p"}, "either a document or a pair"),
        ({"path": "a", "filters": ["leters"]}, "unknown filter 'leters'"),
        ({"path": "a", "filters": [{"name": "letters", "min": 2, "max": 1}]}, "min that is not above max"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], said: str) -> None:
    _, faults = check_settings(CorpusSettings, values)
    assert said in " ".join(map(str, faults))


def test_carved_documents_stay_carved_when_others_come(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "\n\n".join(f"text {i}" for i in range(200)))
    write(tmp_path, "b.txt", "\n\n".join(f"other {i}" for i in range(200)))
    rest, validation = opened(tmp_path, "a.txt").carve(0.2, seed=3)
    assert sorted([*texts(rest), *texts(validation)]) == sorted(f"text {i}" for i in range(200))
    assert 20 <= len(validation) <= 60
    _, more = opened(tmp_path, "*.txt").carve(0.2, seed=3)
    assert set(texts(validation)) == {text for text in texts(more) if text.startswith("text")}
    assert rest.card.documents == len(rest)


def test_the_same_bytes_under_another_suffix_are_other_documents(tmp_path: Path) -> None:
    content = jsonl({"text": "one"}, {"text": "two"})
    whole = texts(opened(tmp_path, write(tmp_path, "a.txt", content)))
    assert whole == [content.strip()]
    assert texts(opened(tmp_path, write(tmp_path, "a.jsonl", content))) == ["one", "two"]


def test_long_documents_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.data.dataset.CHARACTERS_AT_ONCE", 10)
    monkeypatch.setattr("hone.data.dataset.ROWS_AT_ONCE", 4)
    lines = ["four", "five5", "one long line", "a", "b", "c", "d", "e", "f"]
    rows = opened(tmp_path, write(tmp_path, "a.txt", "\n".join(lines)), parted="lines").rows
    portions = [rows.slice(start, stop)["text"] for start, stop in rows.portions()]
    assert portions == [["four", "five5"], ["one long line"], ["a"], ["b", "c", "d", "e"], ["f"]]
    assert list(rows.take(np.arange(0)).portions()) == []


def test_a_disk_without_room_for_signatures_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "\n".join(f"text {i}" for i in range(200)))
    opened(tmp_path, "a.txt", parted="lines")  # the documents are there
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(HoneError) as caught:
            opened(tmp_path, "a.txt", parted="lines", duplicates="drop-near")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.code, caught.value.exit_code) == ("corpus.signatures-not-saved", 1)
    assert len(opened(tmp_path, "a.txt", parted="lines", duplicates="drop-near")) > 0

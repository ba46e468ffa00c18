"""Files that are no text are left out and counted where that is asked for, whatever their suffix; else told."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hone.core.errors import DataError
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.corpus.settings import CorpusSettings
from hone.inspect.corpus import corpus_tables
from hone.report.catalog import CATALOGS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts, an image, an archive, a folder that looks like a text, and a folder of texts."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "odd.txt").mkdir()
    (tmp_path / "a.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    (tmp_path / "deep" / "b.txt").write_text("three\n", encoding="utf-8")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "d.tar.gz").write_bytes(gzip.compress(b"name\0\0\0and more", mtime=0))
    return tmp_path


def opened(folder: Path, path: Any, **more: Any) -> Corpus:
    settings = CorpusSettings.model_validate({"path": path, **more})
    return open_corpus(settings, base=folder, cache=folder.parent / f"{folder.name}-cache")


@pytest.mark.parametrize("times", [1, 2])  # the second time from the cache
def test_binary_files_and_folders_that_a_glob_names_are_left_out_and_counted(folder: Path, times: int) -> None:
    for _ in range(times):
        corpus = opened(folder, "**", unreadable="skip")
    assert sorted(document.text for document in corpus) == ["one", "three", "two"]
    assert corpus.card.unreadable == {"data.binary": 2, "data.folder": 2}
    assert any("c.png" in one and "a PNG image" in one for one in corpus.card.named)
    rows = corpus_tables(corpus)["reading"].rows
    assert ["folders", 2] in rows
    assert all({"folders", "binary_content"} <= set(catalog) for catalog in CATALOGS.values())


def test_what_is_left_out_changes_no_document(folder: Path) -> None:
    before = opened(folder, "*.txt", unreadable="skip")
    (folder / "more.txt").mkdir()
    after = opened(folder, "*.txt", unreadable="skip")
    assert (before.digest, before.card.left_out) == (after.digest, after.card.left_out - 1)


def test_they_are_named_all_together_where_they_are_to_be_refused(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(folder, "**")
    assert {fault.code for fault in caught.value.faults} == {"data.folder"}
    with pytest.raises(DataError) as caught:
        opened(folder, ["*.png", "*.gz", "a.txt"])
    assert [(fault.code, Path(fault.file).name) for fault in caught.value.faults] == [
        ("data.binary", "c.png"),
        ("data.binary", "d.tar.gz"),
    ]


def test_a_text_of_another_suffix_and_a_folder_that_is_named_are_refused_all_the_same(folder: Path) -> None:
    (folder / "e.md").write_text("# words\n", encoding="utf-8")
    for path, code in (("*.md", "data.format"), ("deep", "data.folder")):
        with pytest.raises(DataError) as caught:
            opened(folder, [path, "a.txt"], unreadable="skip")
        assert [fault.code for fault in caught.value.faults] == [code]
    assert len(opened(folder, ["*.md", "a.txt"], format="text", unreadable="skip")) == 3


def test_a_pipe_is_told_as_what_cannot_be_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "pipe.txt", unreadable="skip")
    assert [fault.code for fault in caught.value.faults] == ["data.pipe"]


@pytest.mark.parametrize(("columns", "field"), [({"document": "doc"}, "doc"), ({"sampling": {"by": "doc"}}, "doc")])
def test_half_of_a_surrogate_pair_beside_the_text_is_told_with_its_line(
    tmp_path: Path, columns: dict[str, Any], field: str
) -> None:
    lines = ['{"text": "one", "doc": "a"}', '{"text": "two", "doc": "\\ud800"}', '{"text": "three", "doc": "b"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "a.jsonl", **columns)
    assert [(one.code, one.line, one.field) for one in caught.value.faults] == [("data.encoding", 2, field)]
    left = opened(tmp_path, "a.jsonl", unreadable="skip", **columns)
    assert [document.text for document in left] == ["one", "three"]


def test_one_broken_text_of_a_parquet_file_costs_one_row(tmp_path: Path) -> None:
    texts = pa.array([b"one", b"t\xffo", b"three"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    corpus = opened(tmp_path, "a.parquet", unreadable="skip")
    assert [document.text for document in corpus] == ["one", "three"]
    assert corpus.card.unreadable == {"data.encoding": 1}

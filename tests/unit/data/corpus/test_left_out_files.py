"""Files that are no text are left out and counted where that is asked for, whatever their suffix; else told."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

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

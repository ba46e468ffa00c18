"""Data sets of the hub, through the datasets library: here from folders, which it opens by the same call."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hone.core.errors import DataError, MissingExtra
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source

datasets = pytest.importorskip("datasets", reason="needs hone[hub]")

FIELDS = (Field("text", "text"), Field("label", "label"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def opened(
    tmp_path: Path, path: str, fields: tuple[Field, ...] = FIELDS, *, name: str = "train", **more: Any
) -> Dataset:
    return read(Source(path=path, **more), fields, name=name, base=tmp_path, cache=tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set with the splits train and test."""
    folder = tmp_path / "set"
    folder.mkdir()
    for split, texts in {"train": ["a", "b"], "test": ["c"]}.items():
        rows = [json.dumps({"text": text, "label": f"label {text}"}) + "\n" for text in texts]
        (folder / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def test_the_split_is_the_one_named_like_the_source(tmp_path: Path, folder: Path) -> None:
    assert opened(tmp_path, f"hub:{folder}").column("text") == ["a", "b"]
    assert opened(tmp_path, f"hub:{folder}", name="test").column("text") == ["c"]


def test_a_stated_split_goes_first(tmp_path: Path, folder: Path) -> None:
    dataset = opened(tmp_path, f"hub:{folder}:test")
    assert dataset.row(0) == {"text": "c", "label": "label c"}
    assert dataset.place(0) == (f"hub:{folder}:test", 1)


def test_columns_may_have_other_names(tmp_path: Path, folder: Path) -> None:
    dataset = opened(tmp_path, f"hub:{folder}", columns={"text": "label", "label": "text"})
    assert dataset.column("label") == ["a", "b"]


def test_class_labels_come_as_their_names_bare_and_in_lists(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    rows = {"tokens": [["Ada", "is"], ["No"]], "tags": [[1, 0], [0]], "label": [1, 0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "set/train.parquet")
    fields = (Field("tokens", "tokens"), Field("tags", "tags"), Field("label", "label"))
    dataset = opened(tmp_path, f"hub:{tmp_path / 'set'}", fields)
    assert dataset.column("tags") == [["B-PER", "O"], ["O"]]
    assert dataset.column("label") == ["yes", "no"]


def test_rows_that_are_not_labeled_are_null(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"text": ["a", "b", "c"], "label": [1, -1, None]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "set/train.parquet")
    with pytest.raises(DataError) as caught:
        opened(tmp_path, f"hub:{tmp_path / 'set'}")
    assert [(f.code, f.line, f.field) for f in caught.value.faults] == [
        ("data.null", 2, "label"),
        ("data.null", 3, "label"),
    ]


@pytest.mark.parametrize("name", ["nobody/no-such-set", "{folder}:nope"])
def test_what_cannot_be_had_is_named(tmp_path: Path, folder: Path, name: str) -> None:
    source = "hub:" + name.format(folder=folder)
    with pytest.raises(DataError) as caught:
        opened(tmp_path, source)
    assert caught.value.code == "data.hub"
    assert [(f.code, f.file) for f in caught.value.faults] == [("data.hub", source)]
    assert "HF_HUB_OFFLINE" in caught.value.fix


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra) as caught:
        opened(tmp_path, "hub:imdb")
    assert caught.value.code == "extra.missing"
    assert "hone[hub]" in caught.value.fix

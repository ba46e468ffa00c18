"""A dataset is its rows: its digest names them and nothing else, and each row knows where it came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source

FIELDS = (Field("text", "text"), Field("label", "label"))
ROWS = '{"text": "a", "label": "x"}\n\n{"text": "b", "label": "y"}\n{"text": "c", "label": "x"}\n'


def opened(folder: Path, name: str = "train.jsonl", content: str = ROWS) -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    return read(Source(path=name), FIELDS, name="train", base=folder, cache=folder / "cache")


def counting_memory(read: Callable[[], Any]) -> tuple[Any, int]:
    """What it gives, and the most bytes that Arrow held for it at once."""
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    try:
        return read(), counted.max_memory()
    finally:
        pa.set_memory_pool(usual)


def test_the_digest_does_not_depend_on_path_name_or_cache(tmp_path: Path) -> None:
    one = opened(tmp_path / "one")
    other = opened(tmp_path / "two" / "deep", name="renamed.jsonl")
    assert one.digest == other.digest


def test_the_digest_changes_with_the_content(tmp_path: Path) -> None:
    assert opened(tmp_path / "one").digest != opened(tmp_path / "two", content=ROWS.replace("c", "d")).digest


def test_the_digest_changes_with_the_columns_that_are_read(tmp_path: Path) -> None:
    content = '{"text": "a", "body": "b", "label": "x"}\n'
    one = opened(tmp_path, content=content)
    source = Source(path="train.jsonl", columns={"text": "body"})
    other = read(source, FIELDS, name="train", base=tmp_path, cache=tmp_path / "cache")
    assert one.digest != other.digest
    assert (one.column("text"), other.column("text")) == (["a"], ["b"])


def test_rows_come_by_column_by_slice_and_alone(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    assert (len(dataset), dataset.columns, dataset.origin) == (3, ("text", "label"), "train.jsonl")
    assert dataset.column("label") == ["x", "y", "x"]
    assert dataset.slice(1, 3) == {"text": ["b", "c"], "label": ["y", "x"]}
    assert dataset.slice(2, 1) == {"text": [], "label": []}
    assert dataset.row(2) == {"text": "c", "label": "x"}


def test_a_row_is_placed_by_file_and_line(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    assert dataset.place(1) == (str(tmp_path / "train.jsonl"), 3)


def test_taken_rows_keep_their_order_place_and_a_digest_of_their_own(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    taken = dataset.take(np.array([2, 0]), name="validation")
    assert (taken.name, taken.column("text")) == ("validation", ["c", "a"])
    assert taken.place(0) == (str(tmp_path / "train.jsonl"), 4)
    assert len({dataset.digest, taken.digest, dataset.take(np.array([0, 2])).digest}) == 3
    assert taken.digest == opened(tmp_path / "again").take(np.array([2, 0])).digest


def test_values_in_memory_have_a_digest_and_no_lines() -> None:
    dataset = Dataset.from_columns("test", {"text": ("a", "b")})
    assert dataset.place(1) == ("memory", None)
    assert dataset.digest == Dataset.from_columns("train", {"text": ["a", "b"]}).digest


def test_rows_taken_of_rows_taken_are_those_of_the_file(tmp_path: Path) -> None:
    taken = opened(tmp_path).take(np.array([2, 0])).take(np.array([1, 0, 0]))
    assert taken.slice(0, 3) == {"text": ["a", "c", "c"], "label": ["x", "x", "x"]}
    assert (taken.place(1)[1], taken.row(2)["text"], taken.values("text", np.array([2, 0]))) == (4, "c", ["c", "a"])
    assert (len(taken.take(np.array([], dtype=np.int64))), taken.longest("text")) == (0, 1)


def test_labels_are_told_once_in_lists_or_not() -> None:
    dataset = Dataset.from_columns("train", {"one": ["b", "a", "b"], "some": [["x"], [], ["y", "x"]], "n": [2.0, 1, 2]})
    assert [dataset.distinct(name) for name in dataset.columns] == [["b", "a"], [["x", "y"]], [2.0, 1.0, 2.0]]
    assert [dataset.holds(name) for name in dataset.columns] == ["label", "labels", "other"]
    assert dataset.numbers("n").tolist() == [2.0, 1.0, 2.0]


def test_reading_one_field_of_chosen_rows_copies_no_other(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": "x" * 10_000, "label": f"{i % 3}"}) + "\n" for i in range(1000))
    taken = opened(tmp_path, content=rows).take(np.arange(1, 1000))
    lengths, most = counting_memory(lambda: [len(part) for part in taken.parts("label")])
    assert lengths == [999]
    assert 0 < most < 1_000_000


def test_all_rows_are_no_choice_and_still_have_the_digest_of_one(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    whole, turned = dataset.take(np.arange(3)), dataset.take(np.array([2, 1, 0]))
    part, most = counting_memory(lambda: next(whole.parts("text")))
    assert (part.to_pylist(), most) == (["a", "b", "c"], 0)
    assert turned.column("text") == ["c", "b", "a"]
    assert turned.take(np.arange(3)).column("text") == ["c", "b", "a"]
    assert len({dataset.digest, whole.digest, turned.digest}) == 3

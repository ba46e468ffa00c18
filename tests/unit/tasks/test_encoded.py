"""Rows are tokenized once for the same data, tokenizer, task, settings and labels, and again when any differs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hone.core.errors import DataError
from hone.data.dataset import Dataset
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.settings import TextClassificationSettings

TEXTS = ["my card", "the bank", "new password please", "a b c d e f g h"]
Make = Callable[..., Task]


@pytest.fixture
def make(tiny_base: Path) -> Make:
    def make(labels: tuple[str, ...] = ("no", "yes"), folder: Path = tiny_base, **settings: Any) -> Task:
        chosen = TextClassificationSettings.model_validate(settings)
        return make_task("text-classification", chosen, labels=labels, folder=folder)

    return make


def dataset(texts: list[str] = TEXTS) -> Dataset:
    return Dataset.from_columns("train", {"text": texts, "label": ["no", "yes"] * (len(texts) // 2)})


def files(cache: Path) -> set[Path]:
    return set(cache.rglob("*.arrow"))


def test_rows_are_those_that_the_task_encodes(make: Make, tmp_path: Path) -> None:
    task = make()
    rows = encoded(task, dataset(), cache=tmp_path)
    direct = task.encode(dataset().slice(0, 4), purpose="learn")
    assert rows.table.to_pylist() == direct.to_pylist()


def test_the_second_time_nothing_is_tokenized(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make()
    first = encoded(task, dataset(), cache=tmp_path)
    monkeypatch.setattr(task, "encode", None)  # whoever calls it fails
    assert encoded(task, dataset(), cache=tmp_path).table.equals(first.table)


def test_another_process_with_an_equal_task_reads_the_same_file(make: Make, tmp_path: Path) -> None:
    encoded(make(), dataset(), cache=tmp_path)
    encoded(make(), dataset(), cache=tmp_path)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize(
    "changed", [{"labels": ("yes", "no")}, {"max_length": 8}, {"stride": 3}, {"long_text": "window"}]
)
def test_other_labels_or_settings_are_encoded_anew(make: Make, tmp_path: Path, changed: dict[str, Any]) -> None:
    encoded(make(), dataset(), cache=tmp_path)
    encoded(make(**changed), dataset(), cache=tmp_path)
    assert len(files(tmp_path)) == 2


def test_other_data_is_encoded_anew(make: Make, tmp_path: Path) -> None:
    encoded(make(), dataset(), cache=tmp_path)
    encoded(make(), dataset(TEXTS[::-1]), cache=tmp_path)
    assert len(files(tmp_path)) == 2


def test_another_tokenizer_is_encoded_anew(make: Make, tmp_path: Path, tiny_base: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_base.iterdir():
        (other / file.name).write_bytes(file.read_bytes().replace(b'"lowercase": true', b'"lowercase": false'))
    encoded(make(), dataset(), cache=tmp_path / "cache")
    encoded(make(folder=other), dataset(), cache=tmp_path / "cache")
    assert len(files(tmp_path / "cache")) == 2


def test_another_special_token_of_the_configuration_is_encoded_anew(
    make: Make, tmp_path: Path, tiny_base: Path
) -> None:
    other = shutil.copytree(tiny_base, tmp_path / "other")
    config = json.loads((other / "tokenizer_config.json").read_text(encoding="utf-8"))
    (other / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "[CLS]"}), encoding="utf-8")
    tasks = make(), make(folder=other)
    for task in tasks:
        encoded(task, dataset(), cache=tmp_path / "cache")
    assert tasks[0].tokenizer.eos_id != tasks[1].tokenizer.eos_id
    assert len(files(tmp_path / "cache")) == 2


def test_a_damaged_file_is_written_again(make: Make, tmp_path: Path) -> None:
    first = encoded(make(), dataset(), cache=tmp_path).table.to_pylist()
    [file] = files(tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    assert encoded(make(), dataset(), cache=tmp_path).table.to_pylist() == first


def test_examples_are_encoded_in_parts_with_their_own_numbers(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hone.data.dataset.ROWS_AT_ONCE", 3)
    rows = encoded(make(max_length=8, long_text="window", stride=0), dataset(), cache=tmp_path)
    assert rows.example.tolist() == [0, 1, 2, 3, 3]


def test_a_refused_text_in_a_later_part_is_named_by_its_row_and_leaves_no_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hone.data.dataset.ROWS_AT_ONCE", 2)
    with pytest.raises(DataError) as raised:
        encoded(make(max_length=8, long_text="refuse"), dataset(), cache=tmp_path)
    assert "row 4" in str(raised.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_refused_text_is_named_by_its_place_in_the_file(make: Make, tmp_path: Path) -> None:
    table = pa.table({**dataset().slice(0, 4), "_line": [2, 3, 5, 9], "_file": [0, 0, 1, 1]})
    split = Dataset("train", table, digest="d", origin="*.jsonl", files=("one.jsonl", "two.jsonl"))
    with pytest.raises(DataError) as raised:
        encoded(make(long_text="refuse", max_length=8), split, cache=tmp_path)
    assert [(fault.file, fault.line) for fault in raised.value.faults] == [("two.jsonl", 9)]

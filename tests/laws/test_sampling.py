"""Rows by the inverse frequency of their labels: what an epoch has is what the formula says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.passes import Passes
from hone.models.base import resolve_base
from hone.tasks.rows import ROWS_SCHEMA, Rows, rows_of
from hone.tasks.sampling import by_label
from hone.tasks.settings import TextClassificationSettings
from hone.tasks.table import SETTINGS
from hone.train.faults import find_faults
from hone.train.finetune import finetune
from hone.train.settings import FinetuneSettings

COUNTS = {"often": 400, "some": 50, "rare": 8, "once": 1}


def rows_for(examples: int, *, windows: int = 1) -> Rows:
    example = np.repeat(np.arange(examples), windows)
    columns = {"example": example, "truncated": [False] * len(example), "text_tokens": [1] * len(example),
               "input_ids": [[1]] * len(example)}  # fmt: skip
    return Rows(pa.Table.from_batches([rows_of(columns, ROWS_SCHEMA)]))


def passes_of(values: list[Any], *, name: str = "label", windows: int = 1, power: float, most: float = 1e9) -> Passes:
    data = Dataset.from_columns("train", {"text": ["x"] * len(values), name: values})
    kind: Any = {"label": "label", "labels": "labels"}[name]
    return by_label(rows_for(len(values), windows=windows), data, Field(name, kind), power=power, most=most, seed=1)


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("windows", [1, 3])
def test_labels_come_by_their_inverse_frequency_to_the_power_asked_for(power: float, windows: int) -> None:
    values = [label for label, count in COUNTS.items() for _ in range(count)]
    rows = passes_of(values, power=power, windows=windows).epoch(2)
    found = Counter(values[row // windows] for row in rows)
    assert found == {label: round(windows * n * (400 / n) ** power) for label, n in COUNTS.items()}


def test_no_row_comes_oftener_than_allowed() -> None:
    values = [label for label, count in COUNTS.items() for _ in range(count)]
    epoch = Counter(values[row] for row in passes_of(values, power=1.0, most=5).epoch(0))
    assert epoch == {"often": 400, "some": 250, "rare": 40, "once": 5}


def test_of_several_labels_the_rarest_decides_and_a_row_without_any_comes_once() -> None:
    values: list[Any] = [*[["a"]] * 12, ["a", "b"], ["b", "a"], ["b"], []]  # a: 14 rows, b: 3
    counts = np.bincount(passes_of(values, name="labels", power=1.0).epoch(0), minlength=16)
    assert counts[:12].tolist() == [1] * 12
    assert counts[12:15].sum() == 14  # each 14 / 3 times, none oftener than another by more than one
    assert np.ptp(counts[12:15]) == 1
    assert counts[15] == 1


def first_loss(base: Path, folder: Path, train: Dataset, **settings: Any) -> float:
    """Of a step over all rows that an epoch has."""
    plain = {"per_device_train_batch_size": 64, "max_steps": 1, "dropout": 0.0, "logging_steps": 1, "save_steps": None}
    task = TaskChoice("text-classification", TextClassificationSettings())
    inputs = Inputs(task=task, base=resolve_base(str(base)), data={"train": train})
    run = Run(seed=3, device="cpu", folder=folder, target=folder / "bundle", cache=folder / "cache")
    finetune(FinetuneSettings.model_validate({**plain, **settings}), inputs, run)
    return float(json.loads((folder / "log.jsonl").read_text().splitlines()[0])["loss"])


def test_rows_by_inverse_frequency_make_the_loss_that_balanced_weights_make(tiny_base: Path, tmp_path: Path) -> None:
    """Both are the mean over labels of the mean over their rows."""
    counts = {"one": 12, "two": 6, "three": 3}
    columns = {"text": [f"{label} {i}" for label, n in counts.items() for i in range(n)],
               "label": [label for label, n in counts.items() for _ in range(n)]}  # fmt: skip
    train = Dataset.from_columns("train", columns)
    weighed = first_loss(tiny_base, tmp_path / "weighed", train, class_weights="balanced")
    assert first_loss(tiny_base, tmp_path / "sampled", train, sampling={"power": 1.0}) == pytest.approx(weighed)
    assert first_loss(tiny_base, tmp_path / "plain", train) != pytest.approx(weighed, rel=1e-4)


def test_rows_without_labels_do_not_come_by_them(tiny_base: Path) -> None:
    train = Dataset.from_columns("train", {"text": ["a", "b"], "score": [0.5, 0.1]})
    task = TaskChoice("text-regression", SETTINGS["text-regression"]())
    inputs = Inputs(task=task, base=resolve_base(str(tiny_base)), data={"train": train})
    faults = find_faults(FinetuneSettings.model_validate({"sampling": {}}), inputs)
    assert [(fault.code, fault.field) for fault in faults] == [("recipe.sampling", "sampling")]

"""Measures are those of all answers, however many of them are held at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hone.data.dataset import Dataset
from hone.models.model import build_model
from hone.predict import decide as module
from hone.predict.decide import decided_measures
from hone.predict.engine import TorchEngine
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS, TASKS

WORDS = ["refund", "money", "screen broken", "my password", "email please", "the new day", "thanks"]
LABELS = ["a", "b", "a", "c", "b", "a", "c"]
COLUMNS: dict[str, dict[str, list[Any]]] = {
    "sentence-embedding": {"text_a": WORDS, "text_b": WORDS[::-1]},
    "text-classification": {"text": WORDS, "label": LABELS},
    "multi-label-classification": {"text": WORDS, "labels": [[label] for label in LABELS]},
    "token-classification": {
        "tokens": [text.split() for text in WORDS],
        "tags": [["B-A"] + ["O"] * text.count(" ") for text in WORDS],
    },
}


@pytest.mark.parametrize("name", COLUMNS)
def test_parts_measure_as_the_whole_does(
    name: str, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, rows = TASKS[name], Dataset.from_columns("validation", COLUMNS[name])
    labels = kind.labels_in({target: rows.column(target) for target in rows.having(kind.targets)})
    settings = kind.settled(SETTINGS[name](), rows)
    task = make_task(name, settings, labels=labels, folder=tiny_base)
    torch.manual_seed(0)
    engine = TorchEngine(build_model(tiny_base, task.head), torch.device("cpu"))
    given = encoded(task, rows, cache=tmp_path)
    whole = decided_measures(task, engine, given, rows)
    monkeypatch.setattr(module, "EXAMPLES_AT_ONCE", 3)
    assert decided_measures(task, engine, given, rows) == pytest.approx(whole, abs=1e-5, nan_ok=True)

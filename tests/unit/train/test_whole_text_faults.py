"""Settings of texts to write are refused where rows are whole texts, which nothing is cut of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.bundle.stage import Inputs, TaskChoice
from hone.data.dataset import Dataset
from hone.models.base import resolve_base
from hone.models.tiny import write_tiny_writer
from hone.tasks.table import SETTINGS
from hone.train.faults import find_faults
from hone.train.settings import FinetuneSettings

TURNS = [{"role": "user", "text": "a"}, {"role": "assistant", "text": "b"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("whole") / "gpt2", kind="gpt2", layers=1)


@pytest.mark.parametrize(
    ("columns", "settings", "refused"),
    [
        ({"text": ["a b"]}, {}, []),
        ({"text": ["a b"]}, {"max_target_length": 8}, ["task.max_target_length"]),
        ({"text": ["a b"]}, {"max_target_length": 8, "long_target": "truncate"},
         ["task.max_target_length", "task.long_target"]),
        ({"prompt": ["a"], "text": ["b"]}, {"max_target_length": 8, "long_target": "truncate"}, []),
        ({"text": ["b"], "tone": ["good"]}, {"max_target_length": 8, "attributes": {"tone": []}}, []),
        ({"messages": [TURNS]}, {"max_target_length": 8}, []),
    ],
)  # fmt: skip
def test_what_only_texts_after_prompts_read_is_refused(
    columns: dict[str, Any], settings: dict[str, Any], refused: list[str], folder: Path
) -> None:
    task = TaskChoice("text-generation", SETTINGS["text-generation"].model_validate(settings))
    data = {name: Dataset.from_columns(name, columns) for name in ("train", "validation")}
    inputs = Inputs(task=task, base=resolve_base(str(folder)), data=data, bundle=None, recipe_digest="the recipe")
    found = find_faults(FinetuneSettings(), inputs)
    assert [(fault.code, fault.field) for fault in found] == [("recipe.unread", field) for field in refused]

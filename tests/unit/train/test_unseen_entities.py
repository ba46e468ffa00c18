"""Entities that no row holds: a training tells how many it did not see."""

from __future__ import annotations

from pathlib import Path

from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.data.dataset import Dataset
from hone.models.base import resolve_base
from hone.tasks.settings import SpanClassificationSettings
from hone.train.finetune import finetune
from hone.train.settings import FinetuneSettings


def test_entities_that_training_does_not_see_are_told(tiny_base: Path, tmp_path: Path) -> None:
    spans = [[{"start": start, "end": 6, "label": "PER"}] for start in (0, 1)]  # the other begins within a token
    data = Dataset.from_columns("train", {"text": ["please help"] * 2, "entities": spans})
    task = TaskChoice("span-classification", SpanClassificationSettings())
    inputs = Inputs(
        task=task, base=resolve_base(str(tiny_base)), data={"train": data}, bundle=None, recipe_digest="the recipe"
    )
    run = Run(seed=1, device="cpu", folder=tmp_path, target=tmp_path / "bundle", cache=tmp_path / "cache")
    told = finetune(FinetuneSettings(num_train_epochs=1), inputs, run).report.warnings
    assert any("Entities of train that no row holds whole: 1." in one for one in told)

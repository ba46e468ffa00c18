"""`fgm` and `freelb` move what a model that writes reads, and nothing of what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.data.dataset import Dataset
from hone.models.base import resolve_base
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS
from hone.train.finetune import finetune
from hone.train.perturbed import Perturbed
from hone.train.settings import FinetuneSettings

Kind = Literal["bart", "rnn-seq2seq", "t5"]
KINDS: tuple[Kind, ...] = ("bart", "t5", "rnn-seq2seq")
PAIRS = {"source": ["the order is late", "reset"] * 4, "target": ["refund the order please", "help me now"] * 4}


@pytest.fixture(scope="module", params=KINDS)
def writer(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("writer"), kind=request.param)


@pytest.mark.parametrize("technique", ["fgm", "freelb"])
def test_a_training_with_it_goes_through(writer: Path, technique: str, tmp_path: Path) -> None:
    inputs = Inputs(
        task=TaskChoice("translation", SETTINGS["translation"].model_validate({})),
        base=resolve_base(str(writer)),
        data={"train": Dataset.from_columns("train", PAIRS)},
        recipe_digest="the recipe",
    )
    run = Run(seed=1, device="cpu", folder=tmp_path, target=tmp_path / "bundle", cache=tmp_path / "cache")
    settings = FinetuneSettings.model_validate({"num_train_epochs": 1, "techniques": [technique]})
    assert finetune(settings, inputs, run).bundle is not None


def test_a_move_reaches_the_source_alone(writer: Path) -> None:
    task = make_task("translation", SETTINGS["translation"].model_validate({}), labels=(), folder=writer)
    rows = Rows(task.encode(PAIRS, purpose="learn"))
    batch = task.collate(rows, np.arange(2))
    model = build_model(writer, task.head, dropout=0.0).eval()
    perturbed = Perturbed(model)
    table = perturbed.begin()
    plain = model(batch)["logits"]
    plain.square().sum().backward()
    gradient = perturbed.gradient()
    assert gradient.shape == (*batch["input_ids"].shape, table.shape[1])
    assert gradient[batch["attention_mask"] == 1].any()
    assert perturbed.spread > 0
    perturbed.move = torch.zeros_like(gradient)
    torch.testing.assert_close(model(batch)["logits"], plain)
    perturbed.move = gradient * 1e3
    assert not torch.allclose(model(batch)["logits"], plain)
    perturbed.end()
    torch.testing.assert_close(model(batch)["logits"], plain)

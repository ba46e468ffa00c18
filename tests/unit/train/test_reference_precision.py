"""What preferences are learned against is computed in the precision of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.writing_settings import TranslationSettings
from hone.train.rounded import InTraining


def test_a_reference_is_rounded_as_the_model_that_learns(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "base", kind="bart")
    task: Any = make_task("translation", TranslationSettings(), labels=(), folder=base)
    model = build_model(base, task.head, dropout=0.0).eval()
    rows = Rows(task.encode({"source": ["the card"], "target": ["my card"]}, purpose="learn"))
    batch = task.collate(rows, np.arange(1))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        learning = model(batch)["logits"].float()
    engine = InTraining(model, torch.device("cpu"), "bf16")
    assert torch.equal(engine.forward(batch)["logits"], learning)
    assert engine.named == "cpu bf16"
    exact = InTraining(model, torch.device("cpu"), "no").forward(batch)["logits"]
    assert not torch.equal(exact, learning)

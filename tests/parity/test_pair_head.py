"""A head that reads two texts apart gives the same scores through ONNX Runtime, whatever the texts' lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hone.models.export import export_onnx
from hone.models.model import build_model
from hone.predict.onnx import OnnxEngine
from hone.tasks.make import make_task
from hone.tasks.rows import SECOND, Rows
from hone.tasks.settings import TextPairRegressionSettings


def test_a_pair_is_told_apart_by_onnx_as_by_torch(tiny_base: Path) -> None:
    task = make_task(
        "text-pair-regression", TextPairRegressionSettings(pooling="pair"), labels=("score",), folder=tiny_base
    )
    columns = {"text_a": ["my card is broken", "where"], "text_b": ["help", "the laptop does not work today"]}
    rows = Rows(task.encode(columns, purpose="predict"))
    torch.manual_seed(0)
    model = build_model(tiny_base, task.head, dropout=0.0).eval()
    torch.nn.init.normal_(model.head.linear.weight)
    batch = task.collate(rows, np.arange(2))
    with torch.inference_mode():
        expected = model(batch)["logits"]
    found = OnnxEngine(export_onnx(model, types=SECOND in task.row_schema)).forward(batch)["logits"]
    assert torch.allclose(found, expected, atol=1e-4)
    turned = {**batch, "second_text": torch.zeros_like(batch["second_text"])}
    with torch.inference_mode():
        assert not torch.allclose(model(turned)["logits"], expected, atol=1e-2)

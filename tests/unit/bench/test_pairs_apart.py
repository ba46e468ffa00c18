"""A head that reads both texts of a pair apart is timed in ONNX Runtime as it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hone.bench.systems import OnnxRuntime, systems_for
from hone.bundle.manifest import Lineage
from hone.core.progress import Silent
from hone.models.model import build_model
from hone.models.tiny import write_tiny_base
from hone.predict.predictor import open_bundle
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

PAIRS = [{"text_a": "my card is lost", "text_b": "it is good"}, {"text_a": "help", "text_b": "where is my order now"}]


def test_onnx_runtime_is_told_where_the_second_text_stands(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    base = write_tiny_base(tmp_path / "base", layers=1)
    settings = SETTINGS["text-pair-classification"].model_validate({"pooling": "pair"})
    task = make_task("text-pair-classification", settings, labels=("one", "two"), folder=base)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = build_model(base, task.head)
        torch.nn.init.normal_(next(p for p in model.head.parameters() if p.dim() > 1))  # so that the scores differ
        predictor = open_bundle(write_model(tmp_path / "bundle", model, task, lineage=lineage), device="cpu")
    runtime = systems_for(predictor, progress=Silent())[-1]
    assert isinstance(runtime, OnnxRuntime)
    labels, chances = runtime.scores(PAIRS)
    said = predictor.predict(PAIRS)
    assert [predictor.task.labels[i] for i in labels] == [one["label"] for one in said]
    np.testing.assert_allclose(chances, [one["score"] for one in said], atol=1e-5)

"""`gradual-unfreezing`: from the top down, each layer as if training had begun with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from training_bench import Bench, state_of

from hone.models.model import Model
from hone.train.techniques import UnfreezingSettings
from hone.train.unfreezing import Unfreezing


def learning(model: Model) -> set[str]:
    """Which parts of a base of two layers learn."""
    named = {"embeddings": "embeddings.", "lower": "layer.0.", "upper": "layer.1.", "head": "head."}
    return {
        part for part, mark in named.items() if all(p.requires_grad for n, p in model.named_parameters() if mark in n)
    }


@pytest.mark.parametrize(
    ("settings", "begin"),
    [
        ({"until": 0.5}, {"lower": 5, "embeddings": 10}),
        ({"until": 1.0}, {"lower": 10, "embeddings": 20}),
        ({"by": "epoch"}, {"lower": 4, "embeddings": 8}),
        ({"until": 0.0}, {"lower": 0, "embeddings": 0}),
    ],
)
def test_layers_begin_from_the_top_down(bench: Bench, settings: dict[str, Any], begin: dict[str, int]) -> None:
    model = bench.model()
    technique = Unfreezing(UnfreezingSettings(**settings), bench.course(model, steps=20, steps_per_epoch=4))
    for step in range(20):
        technique.on_begin(step)
        assert learning(model) == {"upper", "head"} | {part for part, first in begin.items() if step >= first}, step


def test_frozen_layers_stay_frozen(bench: Bench) -> None:
    model = bench.model()
    model.freeze(1)
    technique = Unfreezing(UnfreezingSettings(until=0.0), bench.course(model))
    technique.on_begin(0)
    assert learning(model) == {"upper", "head"}


def ended(bench: Bench, folder: str, monkeypatch: pytest.MonkeyPatch, *, lazy: bool) -> dict[str, Tensor]:
    model = bench.model()
    with monkeypatch.context() as patch:
        if not lazy:
            for module in ("loop", "optimizer"):
                patch.setattr(f"hone.train.{module}.lazy_table", lambda *_: None)
        bench.run(
            bench.loop(
                model=model,
                max_steps=18,
                learning_rate=3e-3,
                lr_scheduler_type="linear",
                weight_decay=0.1,
                folder=folder,
                techniques=["gradual-unfreezing"],
            )
        )
    return state_of(model)


def test_rows_moved_late_end_where_torch_moves_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lazy, dense = (ended(bench, f"{lazy}", monkeypatch, lazy=lazy) for lazy in (True, False))
    table = "backbone.embeddings.word_embeddings.weight"
    before = bench.model().state_dict()[table]
    assert not torch.equal(dense[table], before)
    torch.testing.assert_close(lazy[table], dense[table], rtol=1e-3, atol=2e-5)


def test_what_does_not_learn_yet_is_not_moved(bench: Bench) -> None:
    model = bench.model()
    before = state_of(model)
    techniques = [{"name": "gradual-unfreezing", "until": 1.0}]
    bench.run(bench.loop(model=model, max_steps=4, num_train_epochs=2.0, weight_decay=0.1, techniques=techniques))
    after = state_of(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("embeddings" in name for name in moved), "they would begin after the last step"
    assert any("layer.0" in name for name in moved), "it began after half of the steps"

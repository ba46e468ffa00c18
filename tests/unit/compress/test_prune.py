"""Pruning: importance is a derivative, what is needed least goes, as many go as was asked for, and the rest learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from starting import TEXTS, logits, start, written

from hone.compress.importance import Measured, importance, layer_losses
from hone.compress.prune import chosen, cut_heads, cut_inner, prune
from hone.compress.recover import rows_taught
from hone.compress.recovery import PruneSettings
from hone.compress.start import Start
from hone.core.errors import RecipeError
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.predict.predictor import load


def measured(given: Start, *, rows: int = 4) -> Measured:
    encoded, _, _ = rows_taught(given)
    return Measured(given, encoded, torch.arange(rows).numpy(), device=torch.device("cpu"))


def encoder(given: Start) -> Any:
    assert given.model.encoder is not None
    return given.model.encoder


def test_importance_is_the_derivative_by_a_mask(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    one = measured(given, rows=1)
    found = importance(given.model, one)
    layer, step = encoder(given).layer[1], 1e-2
    columns = {"head": (layer.attention.output.dense, slice(8, 16)), "unit": (layer.output.dense, slice(5, 6))}
    for name, (dense, places) in columns.items():
        before = dense.weight.detach().clone()
        losses = []
        for scale in (1 + step, 1 - step):
            dense.weight.data[:, places] = before[:, places] * scale
            losses.append(one.loss(given.model, "x"))
        dense.weight.data = before
        numeric = abs(losses[0] - losses[1]) / (2 * step)
        stated = float(found.heads[1][1] if name == "head" else found.inner[1][5])
        assert stated == pytest.approx(numeric, rel=2e-2, abs=1e-5)


def test_importance_adds_up_over_the_rows_and_leaves_the_model_as_it_was(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    before = {name: value.clone() for name, value in given.model.state_dict().items()}
    together = importance(given.model, measured(given, rows=3))
    rows = [importance(given.model, Measured(given, rows_taught(given)[0], torch.tensor([i]).numpy(),
                                             device=torch.device("cpu"))) for i in range(3)]  # fmt: skip
    for i in range(2):
        torch.testing.assert_close(together.heads[i], sum(row.heads[i] for row in rows), rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(together.inner[i], sum(row.inner[i] for row in rows), rtol=1e-4, atol=1e-7)
    assert all(torch.equal(value, before[name]) for name, value in given.model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in given.model.parameters())
    assert not any(module._forward_pre_hooks for module in given.model.modules())


def test_what_nothing_reads_ranks_lowest_and_is_not_missed(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    layer = encoder(given).layer[0]
    layer.attention.output.dense.weight.data[:, 16:24] = 0.0
    layer.output.dense.weight.data[:, 40] = 0.0
    found = importance(given.model, measured(given))
    assert float(found.heads[0][2]) == 0.0
    assert float(found.inner[0][40]) == 0.0
    assert float(torch.cat(found.heads).sort().values[1]) > 0.0
    before = logits(given)
    cut_heads(layer, torch.tensor([0, 1, 3]), size=8)
    cut_inner(layer, torch.cat([torch.arange(40), torch.arange(41, 64)]))
    torch.testing.assert_close(logits(given), before, rtol=1e-5, atol=1e-5)


def test_the_layer_whose_loss_is_told_is_the_one_left_out(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    losses = layer_losses(given.model, measured(given))
    assert len(encoder(given).layer) == 2
    encoder(given).keep([1])
    assert measured(given).loss(given.model, "x") == pytest.approx(losses[0], rel=1e-6)


def test_ranking_is_over_all_layers_and_leaves_each_one() -> None:
    scores = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 0.5]), torch.tensor([0.1, 0.2, 0.3])]
    assert [part.tolist() for part in chosen(scores, 0.0)] == [[0, 1, 2]] * 3
    assert [part.tolist() for part in chosen(scores, 4 / 9)] == [[1, 2], [0, 1], [2]]
    assert [part.tolist() for part in chosen(scores, 0.99)] == [[2], [1], [2]]


@pytest.mark.parametrize("layers", [0, 1])
def test_as_much_goes_as_was_asked_for_and_comes_back_from_disk(layers: int, text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    settings = PruneSettings(heads=0.5, inner=0.25, layers=layers, num_train_epochs=2.0, save_steps=None)
    made = prune(settings, given)
    left = 2 - layers
    assert made.facts["heads"] == 2 * left
    assert made.facts["inner_units"] == 48 * left
    assert (made.facts["heads_before"], made.facts["inner_units_before"], made.facts["layers_before"]) == (8, 128, 2)
    assert made.facts["layers"] == len(made.tables["by_layer"].rows) == left
    assert sum(row[1] for row in made.tables["by_layer"].rows) == 2 * left  # type: ignore[misc]
    assert made.facts["parameters"] == sum(parameter.numel() for parameter in made.model.parameters())
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    assert bundle.manifest.parts[0].format == "safetensors-shaped"
    assert bundle.manifest.plain.gives == "nothing"
    again = load(bundle.path, device="cpu")
    assert len(again.predict(TEXTS)) == 4
    assert again.engine.model.backbone.config.num_hidden_layers == left  # type: ignore[attr-defined]


def test_layers_alone_leave_what_transformers_reads(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    made = prune(PruneSettings(heads=0.0, inner=0.0, layers=1, num_train_epochs=0.0), given)
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    assert bundle.manifest.parts[0].format == "safetensors"
    assert bundle.manifest.plain.gives == "hidden"


def test_the_same_comes_of_the_same_work(text_bundle: Path, tmp_path: Path) -> None:
    settings = PruneSettings(num_train_epochs=1.0, save_steps=None)
    ends = [prune(settings, start(text_bundle, tmp_path / name)).model.state_dict() for name in ("a", "b")]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_what_cannot_be_pruned_is_told(text_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="at most 1"):
        prune(PruneSettings(layers=2), start(text_bundle, tmp_path))
    given = start(text_bundle, tmp_path)
    texts = Dataset.from_columns("unlabeled", {"text": TEXTS})
    with pytest.raises(RecipeError, match="no labeled rows"):
        prune(PruneSettings(num_train_epochs=0.0), replace(given, data={"unlabeled": texts}))
    given.model._encoder = (None,)
    with pytest.raises(RecipeError, match="prune of a base of type 'bert'"):
        prune(PruneSettings(), given)
    _, faults = check_settings(PruneSettings, {"heads": 0.0, "inner": 0.0})
    assert "nothing would be pruned" in str(faults[0])

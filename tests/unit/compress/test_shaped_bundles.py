"""Bundles with layers of other shapes go on: through every method, and through training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from starting import TEXTS, start, written

import hone
from hone.bundle.bundle import Bundle
from hone.compress.distill import distill
from hone.compress.int8 import round_weights
from hone.compress.low_rank import factorize
from hone.compress.prune import prune
from hone.compress.recovery import LowRankSettings, PruneSettings, SparseSettings
from hone.compress.settings import DistillSettings, Int8Settings, VocabularySettings
from hone.compress.sparse import thin_out
from hone.compress.vocabulary import prune_vocabulary
from hone.models.files import INT8_FILE
from hone.models.int8 import Int8Linear
from hone.models.shapes import FactoredLinear
from hone.predict.predictor import load


@pytest.fixture(scope="module")
def shaped(text_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pruned, then factored, then sparse; never written into."""
    folder, bundle = tmp_path_factory.mktemp("shaped"), text_bundle
    steps: list[Any] = [
        (prune, PruneSettings(heads=0.4, inner=0.3, num_train_epochs=0.0)),
        (factorize, LowRankSettings(embedding=0.6, linear=0.7, num_train_epochs=0.0)),
        (thin_out, SparseSettings(sparsity=0.4, num_train_epochs=0.0)),
    ]
    for method, settings in steps:
        given = start(bundle, folder / method.__name__)
        bundle = written(method(settings, given), folder / method.__name__ / "new", parent=given.bundle).path
    return bundle


def test_int8_after_them_is_a_pair_of_int8_layers(shaped: Path, tmp_path: Path) -> None:
    given = start(shaped, tmp_path)
    made = round_weights(Int8Settings(activations="dynamic"), given)
    factored = [module for module in made.model.modules() if isinstance(module, FactoredLinear)]
    assert factored
    assert all(isinstance(half, Int8Linear) for layer in factored for half in (layer.first, layer.second))
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    ours, theirs = (load(path, device="cpu").predict(TEXTS) for path in (bundle.path, shaped))
    assert [one["score"] for one in ours] == pytest.approx([one["score"] for one in theirs], abs=0.05)
    assert (bundle.path / INT8_FILE).stat().st_size < 0.6 * (shaped / "model.shaped.safetensors").stat().st_size


def test_the_vocabulary_of_a_factored_table_is_pruned_too(shaped: Path, tmp_path: Path) -> None:
    given = start(shaped, tmp_path)
    before = load(shaped, device="cpu").predict(TEXTS)
    made = prune_vocabulary(VocabularySettings(characters=False), given)
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    assert load(bundle.path, device="cpu").predict(TEXTS) == before
    assert made.facts["tokens_kept"] < made.facts["tokens_before"]  # type: ignore[operator]


@pytest.mark.parametrize("layers", [0, 1])
def test_it_teaches_a_student(layers: int, shaped: Path, tmp_path: Path) -> None:
    given = start(shaped, tmp_path)
    made = distill(DistillSettings(layers=layers, num_train_epochs=1.0, save_steps=None), given)
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    assert len(load(bundle.path, device="cpu").engine.model.encoder.layer) == layers  # type: ignore[attr-defined]


def test_training_goes_on_from_it_in_its_shapes(shaped: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    recipe = {
        "version": 1, "task": "text-classification", "base": str(shaped),
        "data": {"train": str(texts["train"]), "test": str(texts["test"])},
        "stages": [{"kind": "finetune", "num_train_epochs": 4, "learning_rate": 3e-3, "save_steps": None}, "evaluate"],
    }  # fmt: skip
    result = hone.run(recipe, out=tmp_path / "run")
    assert result.bundle is not None
    trained = load(result.bundle.path, device="cpu").engine.model  # type: ignore[attr-defined]
    before = load(shaped, device="cpu").engine.model  # type: ignore[attr-defined]
    ours, theirs = trained.backbone.state_dict(), before.backbone.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    assert not all(torch.equal(value, theirs[name]) for name, value in ours.items())
    accuracy = next(measure.value for measure in result.reports["evaluate"].measures if measure.name == "accuracy")
    assert accuracy is not None
    assert accuracy > 0.8
    manifest = json.loads((result.bundle.path / "hone.json").read_text(encoding="utf-8"))
    assert manifest["plain"]["gives"] == "nothing"
    assert Bundle.open(result.bundle.path).manifest.lineage.parents == (Bundle.open(shaped).digest,)

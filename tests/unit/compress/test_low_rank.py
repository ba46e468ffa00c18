"""Low rank: smaller or left whole, nearer with the inputs than without, and the rest learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from starting import TEXTS, logits, start, written

from hone.compress.low_rank import factorize
from hone.compress.recovery import LowRankSettings
from hone.core.errors import RecipeError
from hone.core.settings import check_settings
from hone.models.shapes import FactoredEmbedding, FactoredLinear
from hone.predict.predictor import load


def settings(**more: object) -> LowRankSettings:
    return LowRankSettings.model_validate({"num_train_epochs": 0.0, **more})


def test_layers_and_table_become_two_factors_of_the_share(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    made = factorize(settings(embedding=0.5, linear=0.5, num_train_epochs=2.0, save_steps=None), given)
    factored = [module for module in made.model.modules() if isinstance(module, FactoredLinear)]
    assert made.facts["factored_layers"] == len(factored) == 12
    for layer in factored:
        assert layer.first.out_features * (layer.in_features + layer.out_features) <= 0.5 * layer.weight.numel()
    table = made.model.embeddings.word_embeddings
    assert isinstance(table, FactoredEmbedding)
    assert made.facts["embedding_rank"] == table.second.in_features
    assert made.facts["parameters"] < 0.7 * made.facts["parameters_before"]  # type: ignore[operator]
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    assert bundle.manifest.parts[0].format == "safetensors-shaped"
    assert len(load(bundle.path, device="cpu").predict(TEXTS)) == 4


def test_null_leaves_a_part_as_it_is(text_bundle: Path, tmp_path: Path) -> None:
    made = factorize(settings(embedding=None, linear=0.3), start(text_bundle, tmp_path))
    assert made.facts["embedding_rank"] == 0
    assert made.facts["factored_layers"] == 12
    made = factorize(settings(embedding=0.3, linear=None), start(text_bundle, tmp_path))
    assert made.facts["factored_layers"] == 0
    _, faults = check_settings(LowRankSettings, {"embedding": None, "linear": None})
    assert "nothing would be factored" in str(faults[0])


def test_nearly_all_of_the_energy_gives_nearly_the_same_answers_or_stays_whole(
    text_bundle: Path, tmp_path: Path
) -> None:
    given = start(text_bundle, tmp_path)
    before = logits(given)
    factorize(settings(embedding=None, linear=0.9999, of="energy"), given)
    torch.testing.assert_close(logits(given), before, rtol=0.05, atol=0.05)


def test_what_the_texts_cause_is_nearer_than_without_them(text_bundle: Path, tmp_path: Path) -> None:
    apart = {}
    for by in ("inputs", "weights"):
        given = start(text_bundle, tmp_path)
        before = logits(given)
        factorize(settings(embedding=0.4, linear=0.4, by=by), given)
        apart[by] = float((logits(given) - before).norm())
    assert apart["inputs"] < 0.7 * apart["weights"]


def test_what_is_factored_is_not_factored_again(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    factorize(settings(), given)
    with pytest.raises(RecipeError, match="factored already"):
        factorize(settings(), given)

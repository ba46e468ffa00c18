"""What of a pretraining cannot be had with its base is told before anything runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from transformers import LukeConfig

from hone.bundle.stage import NO_TASK, Inputs
from hone.core.errors import DataError, Fault
from hone.core.progress import Silent
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.models.tiny import write_tiny_writer
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.pretraining import Pretraining, text_rows
from hone.train.pretrain_faults import find_faults
from hone.train.pretrain_settings import PretrainSettings


def faults(base: Path, objective: Any, *, held: list[str] | None = None, **more: Any) -> list[Fault]:
    data = {"corpus": Dataset.from_columns("corpus", {"text": ["one", "two"]})}
    if held is not None:
        data["held_out"] = Dataset.from_columns("held_out", {"text": held})
    settings = PretrainSettings.model_validate({"objective": objective, **more})
    return find_faults(settings, Inputs(task=NO_TASK, base=Base("tiny", base, ""), data=data))


def test_a_tokenizer_of_berts_class_knows_its_mask_though_its_configuration_does_not_say_so(
    tiny_base: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    stated = {"do_lower_case": True, "model_max_length": 64, "tokenizer_class": "BertTokenizer"}  # bert-base-uncased's
    (base / "tokenizer_config.json").write_text(json.dumps(stated), encoding="utf-8")
    assert faults(base, "mlm") == []


def test_a_base_without_a_mask_is_refused_unless_it_has_marks(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "t5", kind="t5")
    tokenizer = load_tokenizer(base).pretrained
    tokenizer.mask_token = None
    tokenizer.save_pretrained(base)
    (fault,) = faults(base, "span-corruption")
    assert (fault.code, fault.field) == ("base.no-mask", "objective.0.name")
    tokenizer.add_tokens(["<extra_id_0>"], special_tokens=True)
    tokenizer.save_pretrained(base)
    assert faults(base, "span-corruption") == []
    assert [fault.code for fault in faults(base, "denoising")] == ["base.no-mask"]


@pytest.mark.parametrize("name", ["gradual-unfreezing", "layer-decay"])
def test_a_technique_by_layers_needs_a_base_that_has_some(name: str, tiny_base: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    save_file({"embeddings.word_embeddings.weight": torch.zeros(3, 2)}, base / "model.safetensors")
    assert faults(tiny_base, "mlm", techniques=[name]) == []
    (fault,) = faults(base, "mlm", techniques=["ema", name])
    assert (fault.code, fault.field) == ("recipe.technique", "techniques.1")


def test_a_compiler_that_is_asked_for_cannot_see_what_acts_inside(tiny_base: Path) -> None:
    (fault,) = faults(tiny_base, "mlm", techniques=["fgm"], torch_compile=True)
    assert (fault.code, fault.field) == ("recipe.technique", "techniques.0")


def test_the_best_weights_are_kept_only_where_something_is_measured(tiny_base: Path) -> None:
    (fault,) = faults(tiny_base, "mlm", keep="best")
    assert (fault.code, fault.field) == ("recipe.no-validation", "keep")
    assert faults(tiny_base, "mlm", keep="best", held=["three"]) == []
    assert faults(tiny_base, "mlm") == []
    with pytest.raises(ValidationError, match="eval_strategy"):
        PretrainSettings(keep="best", eval_strategy="no")


@pytest.mark.parametrize(("kind", "objective"), [("gpt2", "clm"), ("bart", ["denoising", "span-corruption"])])
def test_a_rate_of_heads_where_none_is_begun_is_refused(kind: Any, objective: Any, tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / kind, kind=kind)
    assert faults(base, objective) == []
    (fault,) = faults(base, objective, head_learning_rate=1e-3)
    assert (fault.code, fault.field) == ("recipe.unread", "head_learning_rate")


def test_a_rate_of_heads_is_read_where_one_is_begun(tiny_base: Path) -> None:
    assert faults(tiny_base, ["mlm", "sop"], head_learning_rate=1e-3) == []


def test_text_without_a_token_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    learning = Pretraining(PretrainSettings().objective, Documents(load_tokenizer(tiny_base), max_tokens=32))
    unlabeled = Dataset.from_columns("unlabeled", {"text": ["\u200b", " "]})
    with pytest.raises(DataError, match="no text in memory") as caught:
        text_rows(learning, unlabeled, cache=tmp_path, progress=Silent())
    assert caught.value.code == "data.no-tokens"


@pytest.mark.parametrize(("objective", "told"), [("mlm", True), (["sop", "rtd"], True), ("sop", False)])
def test_text_of_unknown_tokens_alone_is_refused_by_an_objective_that_hides_tokens(
    objective: Any, told: bool, tiny_base: Path, tmp_path: Path
) -> None:
    chosen = PretrainSettings(objective=objective).objective
    learning = Pretraining(chosen, Documents(load_tokenizer(tiny_base), max_tokens=32))
    strange = Dataset.from_columns("corpus", {"text": ["银行卡丢失", "信用额度"]})
    if not told:
        assert len(text_rows(learning, strange, cache=tmp_path, progress=Silent())) == 2
        return
    with pytest.raises(DataError, match="token to hide") as caught:
        text_rows(learning, strange, cache=tmp_path, progress=Silent())
    assert caught.value.code == "data.nothing-to-hide"
    some = Dataset.from_columns("corpus", {"text": ["银行卡丢失", "low"]})
    assert len(text_rows(learning, some, cache=tmp_path, progress=Silent())) == 2


def test_an_objective_that_lives_by_dropout_needs_a_base_that_has_some(tiny_base: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (base / "config.json").write_text(json.dumps({**config, **none}), encoding="utf-8")
    for where, more in ((base, {}), (base, {"dropout": 0}), (tiny_base, {"dropout": 0})):
        (fault,) = faults(where, "contrastive", **more)
        assert (fault.code, fault.field) == ("recipe.objective", "dropout")
    assert faults(base, "contrastive", dropout=0.1) == []
    assert faults(tiny_base, "contrastive") == []
    assert faults(base, "mlm") == []


def test_a_base_whose_head_over_the_vocabulary_is_not_known_cannot_learn_mlm(tiny_base: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    LukeConfig(vocab_size=99, hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(base)
    (fault,) = faults(base, ["sop", "mlm"])
    assert (fault.code, fault.field) == ("base.no-masked-head", "objective.1.name")
    assert "luke" in fault.found
    assert faults(base, "sop") == []


@pytest.mark.parametrize("name", ["fgm", "freelb"])
def test_embeddings_of_several_objectives_are_not_moved(name: str, tiny_base: Path) -> None:
    assert faults(tiny_base, "mlm", techniques=[name]) == []
    (fault,) = faults(tiny_base, ["mlm", "nsp"], techniques=["ema", name])
    assert (fault.code, fault.field) == ("recipe.technique", "techniques.1")
    assert "mlm and nsp" in fault.found


def test_techniques_that_do_the_same_are_told_apart_from_one_named_twice(tiny_base: Path) -> None:
    twice, same = faults(tiny_base, "mlm", techniques=["ema", "ema", "swa"])[::2]
    assert (twice.field, twice.found) == ("techniques.1", "ema twice")
    assert (same.field, same.expected) == ("techniques.2", "one of them")
    assert "which weights remain" in same.found

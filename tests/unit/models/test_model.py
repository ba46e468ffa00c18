"""A model is composed from a folder, saved to one and opened again; what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    GPT2Config,
    MPNetConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from hone.core.errors import BundleError
from hone.models.heads import HeadSpec, MeanPooled
from hone.models.model import HEAD_FILE, Model, build_model, position_limit, read_limit, save_model

TAGS = ("O", "B-PER", "I-PER")
LABELS = ("a", "b", "c")
TAGGING = {"crf": True, "word_shape": False, "context": 0}
SPECS = {
    "sequence-cls": HeadSpec("sequence-cls", LABELS),
    "sequence-mean": HeadSpec("sequence-mean", LABELS),
    "token-linear": HeadSpec("token-linear", TAGS),
    "token-tagging": HeadSpec("token-tagging", TAGS, TAGGING),
}
BATCH = {
    "input_ids": torch.tensor([[2, 10, 20, 3], [2, 11, 3, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "word_positions": torch.tensor([[1, 2], [1, 0]]),
    "word_mask": torch.tensor([[True, True], [True, False]]),
}


def built(folder: Path, spec: HeadSpec, **options: Any) -> Model:
    torch.manual_seed(0)
    return build_model(folder, spec, **options).eval()


def logits(model: Model) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(BATCH)["logits"]
    return found


def refused(folder: Path, spec: HeadSpec, **options: Any) -> BundleError:
    with pytest.raises(BundleError) as raised:
        build_model(folder, spec, **options)
    return raised.value


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_base, tmp_path / "copy")


def reconfigured(folder: Path, **values: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", SPECS)
def test_a_saved_model_gives_the_same_scores(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    model = built(tiny_base, SPECS[kind])
    save_model(model, tmp_path)
    torch.manual_seed(9)
    again = build_model(tmp_path, SPECS[kind], head_from=tmp_path / HEAD_FILE).eval()
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize(
    ("family", "changes", "types"),
    [
        ("bert", {}, True),
        ("bert", {"type_vocab_size": 1}, False),
        ("roberta", {"type_vocab_size": 1}, False),
        ("distilbert", {}, False),
        ("distilbert", {"type_vocab_size": 2}, False),  # as a student that was given its teacher's configuration
        ("deberta-v2", {}, False),
    ],
)
def test_only_a_backbone_that_tells_types_apart_is_handed_them(
    family: str, changes: dict[str, Any], types: bool
) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    small = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24} if family == "distilbert" else sizes
    config = AutoConfig.for_model(family, vocab_size=60, pad_token_id=0, **small, **changes)
    torch.manual_seed(0)
    head = MeanPooled(LABELS, width=16, dropout=0.0)
    model = Model(AutoModel.from_config(config), head).eval()
    assert model.types == types
    second = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]])
    with torch.inference_mode():
        plain, typed = model(BATCH)["logits"], model({**BATCH, "token_type_ids": second})["logits"]
    assert torch.equal(plain, typed) != types


@pytest.mark.parametrize("kind", SPECS)
def test_the_files_written_are_named_and_hold_no_pickle(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    names = save_model(built(tiny_base, SPECS[kind]), tmp_path)
    ours = [HEAD_FILE] if kind in ("sequence-mean", "token-tagging") else []
    assert names == ["config.json", *ours, "model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_two_models_of_one_seed_are_equal_and_of_another_are_not(tiny_base: Path) -> None:
    one, other = built(tiny_base, SPECS["sequence-mean"]), built(tiny_base, SPECS["sequence-mean"])
    assert torch.equal(logits(one), logits(other))
    torch.manual_seed(1)
    assert not torch.equal(logits(build_model(tiny_base, SPECS["sequence-mean"]).eval()), logits(one))


def test_weights_are_float32_whatever_the_base_holds(copy: Path) -> None:
    file = copy / "model.safetensors"
    halves = {name: value.bfloat16() for name, value in load_file(file).items()}
    save_file(halves, file, metadata={"format": "pt"})
    model = built(reconfigured(copy, dtype="bfloat16"), SPECS["token-tagging"])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["sequence-mean", "token-tagging"])
def test_our_heads_leave_no_pooler_that_nothing_reads(tiny_base: Path, kind: str) -> None:
    assert not [name for name in built(tiny_base, SPECS[kind]).state_dict() if "pooler" in name]


@pytest.mark.parametrize("kind", ["sequence-cls", "token-linear"])
def test_labels_are_in_the_configuration_of_transformers_own_heads(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    save_model(built(tiny_base, SPECS[kind]), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert list(config["id2label"].values()) == list(SPECS[kind].labels)
    assert config["label2id"] == {label: i for i, label in enumerate(SPECS[kind].labels)}


@pytest.mark.parametrize("kind", ["sequence-cls", "token-linear"])
def test_a_bundle_with_more_labels_serves_as_a_base(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    trained = built(tiny_base, SPECS[kind])
    save_model(trained, tmp_path)
    labels = (*SPECS[kind].labels, "B-LOC", "I-LOC")
    model = built(tmp_path, HeadSpec(kind, labels))
    assert logits(model).shape[-1] == len(labels)
    assert model.backbone.config.id2label == dict(enumerate(labels))
    body = {name: value for name, value in trained.state_dict().items() if "classifier" not in name}
    assert all(torch.equal(model.state_dict()[name], value) for name, value in body.items())


def test_a_bundle_with_other_labels_serves_as_a_base_under_our_head(tiny_base: Path, tmp_path: Path) -> None:
    save_model(built(tiny_base, SPECS["sequence-mean"]), tmp_path)
    assert logits(built(tmp_path, HeadSpec("sequence-mean", ("x", "y")))).shape == (2, 2)


def test_a_bundle_of_one_task_serves_as_a_base_for_another(tiny_base: Path, tmp_path: Path) -> None:
    save_model(built(tiny_base, SPECS["token-linear"]), tmp_path)
    assert logits(built(tmp_path, SPECS["sequence-cls"])).shape == (2, 3)


def test_a_bundle_is_not_opened_with_other_labels_than_it_has(tiny_base: Path, tmp_path: Path) -> None:
    save_model(built(tiny_base, SPECS["sequence-cls"]), tmp_path)
    error = refused(tmp_path, HeadSpec("sequence-cls", ("x", "y")), head_from=tmp_path / HEAD_FILE)
    assert error.code == "base.unreadable"


def test_a_bundle_is_not_opened_without_its_own_head(tiny_base: Path) -> None:
    error = refused(tiny_base, SPECS["sequence-cls"], head_from=tiny_base / HEAD_FILE)
    assert error.code == "base.unreadable"
    assert "classifier" in str(error)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors"])
def test_a_head_file_that_cannot_be_read_is_named(tiny_base: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / HEAD_FILE
    if content is not None:
        file.write_bytes(content)
    error = refused(tiny_base, SPECS["sequence-mean"], head_from=file)
    assert error.code == "bundle.head"
    assert str(file) in str(error)


def test_the_head_of_another_label_set_does_not_fit(tiny_base: Path, tmp_path: Path) -> None:
    save_model(built(tiny_base, SPECS["sequence-mean"]), tmp_path)
    error = refused(tmp_path, HeadSpec("sequence-mean", ("x", "y")), head_from=tmp_path / HEAD_FILE)
    assert error.code == "bundle.head"


def test_dropout_is_set_everywhere(tiny_base: Path) -> None:
    for spec in SPECS.values():
        model = build_model(tiny_base, spec, dropout=0.37)
        assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.37}


def test_dropout_replaces_a_whole_number_too(copy: Path) -> None:
    folder = reconfigured(copy, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    model = build_model(folder, SPECS["sequence-mean"], dropout=0.25)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}


def test_without_that_it_is_the_configurations_own(copy: Path) -> None:
    model = build_model(reconfigured(copy, hidden_dropout_prob=0.21), SPECS["sequence-mean"])
    assert model.head.dropout.p == 0.21
    assert model.backbone.embeddings.dropout.p == 0.21


@pytest.mark.parametrize("kind", SPECS)
def test_weights_of_another_model_are_refused_rather_than_drawn_at_random(copy: Path, kind: str) -> None:
    save_file({"something.else": torch.zeros(3)}, copy / "model.safetensors", metadata={"format": "pt"})
    assert refused(copy, SPECS[kind]).code == "base.unreadable"


@pytest.mark.parametrize("kind", SPECS)
def test_weights_of_other_shapes_are_refused(copy: Path, kind: str) -> None:
    assert refused(reconfigured(copy, hidden_size=64), SPECS[kind]).code == "base.unreadable"


@pytest.mark.parametrize("kind", SPECS)
def test_one_missing_layer_is_refused(copy: Path, kind: str) -> None:
    assert refused(reconfigured(copy, num_hidden_layers=3), SPECS[kind]).code == "base.unreadable"


def test_a_base_without_a_pooler_gets_a_new_one_where_one_is_read(tiny_base: Path, tmp_path: Path) -> None:
    save_model(built(tiny_base, SPECS["sequence-mean"]), tmp_path)
    assert "bert.pooler.dense.weight" in built(tmp_path, SPECS["sequence-cls"]).backbone.state_dict()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b""),
        ("model.safetensors", b"half of a download"),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "no-such-architecture"}'),
    ],
)
def test_a_damaged_base_is_refused_by_name(copy: Path, file: str, content: bytes) -> None:
    (copy / file).write_bytes(content)
    error = refused(copy, SPECS["sequence-mean"])
    assert error.code == "base.unreadable"
    assert str(copy) in str(error)


def test_a_truncated_base_is_refused(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert refused(copy, SPECS["sequence-mean"]).code == "base.unreadable"


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (BertConfig(max_position_embeddings=77), 77),
        (RobertaConfig(max_position_embeddings=514), 512),
        (XLMRobertaConfig(max_position_embeddings=514), 512),
        (CamembertConfig(max_position_embeddings=514), 512),
        (MPNetConfig(max_position_embeddings=514), 512),
        (GPT2Config(n_positions=90), 90),
    ],
)
def test_the_limit_is_what_the_positions_hold(config: Any, limit: int) -> None:
    assert position_limit(config) == limit


def test_the_limit_is_read_from_the_folder(tiny_base: Path) -> None:
    assert read_limit(tiny_base) == 64


def test_the_limit_of_an_unknown_architecture_is_refused(copy: Path) -> None:
    (copy / "config.json").write_text('{"model_type": "no-such-architecture"}', encoding="utf-8")
    with pytest.raises(BundleError) as raised:
        read_limit(copy)
    assert raised.value.code == "base.unreadable"

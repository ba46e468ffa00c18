"""What training costs: sizes read from files agree with the model they describe; estimates follow their formulas."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AlbertConfig, AlbertModel, AutoModel, AutoModelForMaskedLM, BertConfig, BertModel

from hone.models import cost
from hone.models.cost import (
    Size,
    activation_bytes,
    divided_bytes,
    frozen_flops,
    held_bytes,
    matrix_rate,
    size_of,
    state_bytes,
    training_flops,
    training_seconds,
    turning,
)
from hone.models.heads import HeadSpec
from hone.models.model import HEAD_FILE, build_model
from hone.models.tiny import write_tiny_writer
from hone.train.optimizer import inner_matrices

SIZE = Size(parameters=1000, embedding=400, layers=2, width=8, heads=4, inner=16)


def test_the_size_of_a_folder_is_that_of_the_model_in_it(tiny_base: Path) -> None:
    model = AutoModel.from_pretrained(tiny_base)
    size = size_of(tiny_base)
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert size.embedding == sum(parameter.numel() for parameter in model.embeddings.parameters())
    assert (size.layers, size.width, size.heads, size.inner) == (2, 32, 4, 64)


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("bert", "masked-tokens"),
        ("gpt2", "causal-language-model"),
        ("bart", "sequence-to-sequence"),
        ("t5", "sequence-to-sequence"),
    ],
)
def test_weights_that_muon_does_not_turn_have_two_moments(
    kind: Any, head: str, tiny_base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / kind
    if kind == "bert":
        AutoModelForMaskedLM.from_pretrained(tiny_base).save_pretrained(folder)
    else:
        write_tiny_writer(folder, kind=kind)
    model = build_model(folder, HeadSpec(head, ()))
    inner = inner_matrices(model)
    turned = sum(weight.numel() for weight in model.backbone.parameters() if id(weight) in inner)
    size = size_of(folder)
    assert size.parameters - size.outer == turned > 0
    assert size.learning_bytes("muon") == 8 * turned + 12 * size.outer
    assert size.learning_bytes("adamw") == 12 * size.parameters
    assert state_bytes(size, optim="muon", rows=None, frozen=0, keeps_best=False) == (
        4 * size.parameters + size.learning_bytes("muon")
    )


def test_weights_in_several_files_are_summed(tiny_base: Path, tmp_path: Path) -> None:
    AutoModel.from_pretrained(tiny_base).save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert size_of(tmp_path) == size_of(tiny_base)


def test_the_head_of_a_bundle_is_not_counted_with_its_backbone(tmp_path: Path) -> None:
    BertModel(BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        tmp_path
    )
    before = size_of(tmp_path)
    save_file({"linear.weight": torch.zeros(3, 8)}, tmp_path / HEAD_FILE)
    assert size_of(tmp_path) == before


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6, "intermediate_size": 96},
        {"dim": 24, "n_layers": 3, "n_heads": 6, "hidden_dim": 96},
        {"d_model": 24, "n_layers": 3, "n_heads": 6},
    ],
)
def test_sizes_are_read_under_the_names_that_architectures_use(tmp_path: Path, config: dict[str, int]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(
        {"embed_tokens.weight": torch.zeros(5, 24), "layer.weight": torch.zeros(24, 2)}, tmp_path / "model.safetensors"
    )
    assert size_of(tmp_path) == Size(parameters=168, embedding=120, layers=3, width=24, heads=6, inner=96, outer=120)


OURS = replace(SIZE, pace=cost.OURS)


def test_what_trains_through_our_encoder_is_known_by_its_files(tiny_base: Path, tmp_path: Path) -> None:
    assert size_of(tiny_base).ours
    config = json.loads((tiny_base / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((tiny_base / "model.safetensors").read_bytes())
    for change in ({"model_type": "electra"}, {"hidden_act": "relu"}):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        assert not size_of(tmp_path).ours


def test_flops_are_six_a_weight_a_token_and_attention_on_top() -> None:
    # 50 tokens x (6 x 600 weights outside the embedding + 12 x 2 layers x 8 wide x 10 positions)
    assert training_flops(SIZE, tokens=50, length=10.0) == 50 * (3600 + 1920)


def test_shared_layers_are_multiplied_as_often_as_they_are_computed(tmp_path: Path) -> None:
    def albert(groups: int) -> Size:
        folder = tmp_path / str(groups)
        AlbertModel(
            AlbertConfig(
                vocab_size=50, embedding_size=8, hidden_size=16, intermediate_size=32, num_attention_heads=2,
                num_hidden_layers=6, num_hidden_groups=groups,
            )
        ).save_pretrained(folder)  # fmt: skip
        return size_of(folder)

    apart, one, three = (albert(groups) for groups in (6, 1, 3))
    assert apart.again == 0
    assert one.computed(frozen=0) == three.computed(frozen=0) == apart.learning(frozen=0)
    assert one.learning(frozen=0) < three.learning(frozen=0) < apart.learning(frozen=0)
    same = {training_flops(size, tokens=10, length=4.0) for size in (apart, one, three)}
    assert len(same) == 1


def test_frozen_layers_cost_one_forward_pass() -> None:
    assert training_flops(SIZE, tokens=50, length=10.0, frozen=1) == 50 * (1800 + 960)
    assert frozen_flops(SIZE, tokens=50, length=10.0, frozen=1) == 50 * (2 * 300 + 4 * 8 * 10)
    assert frozen_flops(SIZE, tokens=50, length=10.0, frozen=0) == 0


def test_activations_count_what_the_backward_pass_reads() -> None:
    # a token: 2 layers x (17 x 8 wide + 3 x 16 inner + 3 x 4 heads x 5 positions) floats of 4 bytes
    assert activation_bytes(SIZE, tokens=10, length=5) == 4 * 10 * 2 * (136 + 48 + 60)
    assert activation_bytes(OURS, tokens=10, length=5) == 4 * 10 * 2 * (80 + 32 + 20)
    assert activation_bytes(OURS, tokens=10, length=5, frozen=1) == 4 * 10 * (80 + 32 + 20)


def test_probabilities_that_are_made_again_take_no_memory() -> None:
    assert activation_bytes(OURS, tokens=4096, length=512) == 4 * 4096 * 2 * (80 + 32)


def test_layers_that_are_computed_again_keep_their_input() -> None:
    # 2 layers x 8 wide, and one layer at a time whole
    assert activation_bytes(OURS, tokens=10, length=5, recomputed=True) == 4 * 10 * (16 + 80 + 32 + 20)


def test_states_are_weights_gradients_and_moments_of_what_learns() -> None:
    every = {"frozen": 0, "keeps_best": False}
    assert state_bytes(SIZE, optim="adamw", rows=None, **every) == 16 * 1000
    assert state_bytes(SIZE, optim="adamw", rows=10, **every) == 4 * 1000 + 12 * 600 + 8 * 10 * 8
    assert state_bytes(SIZE, optim="adafactor", rows=10, **every) == 8 * 1000
    assert state_bytes(SIZE, optim="adafactor", rows=10, beside=2, **every) == 8 * 1000 + 8 * 600
    assert state_bytes(SIZE, optim="adamw", rows=10, frozen=1, keeps_best=True) == 8 * 1000 + 12 * 300


@pytest.mark.parametrize(("size", "moved"), [(SIZE, 1000), (OURS, 600)])
def test_seconds_are_products_pairs_updates_and_calls(size: Size, moved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "matrix_rate", lambda: (1e6, 1e7))  # a machine of known speed
    seconds = training_seconds(size, tokens=50, length=10.0, steps=7)
    products = 50 * 5520 / (1e6 * size.pace.reached)
    pairs = 50 * 10 * 4 * 2 * size.pace.pair_seconds
    updates = 7 * moved * cost.UPDATE_BYTES_A_WEIGHT / 1e7
    calls = 7 * 2 * cost.SECONDS_A_LAYER
    assert seconds == pytest.approx(products + pairs + updates + calls)
    twice = training_seconds(size, tokens=50, length=10.0, steps=7, passes=2)
    assert twice == pytest.approx(2 * (products + pairs + calls) + updates)


def test_this_machine_is_timed_within_reason() -> None:
    flops, bandwidth = matrix_rate()
    assert 1e8 < flops < 1e14
    assert 1e8 < bandwidth < 1e13


def test_held_memory_is_in_bytes_and_never_shrinks() -> None:
    before = held_bytes()
    block = torch.ones(1 << 20)
    assert held_bytes() >= before
    assert before > block.numel() * 4  # torch alone holds more than 4 MB
    assert before % 1024 == 0 or sys.platform == "darwin"
    assert before <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_what_muon_takes_is_counted_by_its_iterations_and_by_the_matrices_of_one_shape() -> None:
    flops, held = turning([(8, 4), (4, 8), (8, 4), (3, 3)])
    assert flops == 5 * (3 * (4 * 16 * 8 + 2 * 64) + 4 * 27 + 2 * 27)
    assert held == 4 * 2 * (3 * 32 + 2 * 16)  # the two of 8 by 4
    assert turning([]) == (0.0, 0.0)


def test_processes_that_divide_weights_hold_their_parts_and_what_is_gathered() -> None:
    unit = (SIZE.parameters - SIZE.embedding) / SIZE.layers
    assert SIZE.unit == unit
    assert divided_bytes(16_000, SIZE, processes=4, tensor=1, gathered="unit") == 4000 + 4 * 3 * unit
    assert divided_bytes(16_000, SIZE, processes=4, tensor=1, gathered="all") == 4000 + 4 * (1000 + unit)
    assert divided_bytes(16_000, SIZE, processes=4, tensor=2, gathered="all") == 4000 + 4 * (1000 + unit) / 2

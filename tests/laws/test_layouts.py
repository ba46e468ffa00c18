"""Plans for many GPUs against what can be written down: how many weights, bytes of each, rings that are gone round."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hone.models.architectures import Gpt2Settings, NewBase
from hone.models.cost import Size, training_flops
from hone.models.gpus import GPUS
from hone.models.layouts import LAYOUTS, Layout, Plan, Step, all_reduce_seconds, flops_a_token, simplest, smallest
from hone.models.new_base import outlined, outlined_config

LLAMA_7B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096,
            "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
            "max_position_embeddings": 4096, "tie_word_embeddings": False}  # fmt: skip
GPT = Size(parameters=12 * 24 * 2048**2, embedding=0, layers=24, width=2048, heads=16, inner=4 * 2048,  # no table
           ways=(2, 4, 8))  # fmt: skip
STEP = Step(tokens=1 << 20, batch=4096, length=1024)
DP, FSDP = LAYOUTS[:2]
A100 = GPUS["A100"]


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Size:
    """A llama of 7B weights, of which there is the configuration alone."""
    folder: Path = tmp_path_factory.mktemp("llama")
    (folder / "config.json").write_text(json.dumps(LLAMA_7B), encoding="utf-8")
    return outlined_config(folder)


def test_gpt2_has_its_124_million_weights_and_their_operations() -> None:
    sizes = {"layers": 12, "hidden": 768, "heads": 12, "max_length": 1024, "tokenizer": {"vocab_size": 50257}}
    size = outlined(NewBase("gpt2", Gpt2Settings.model_validate(sizes)))
    layer = 12 * 768**2 + 13 * 768
    assert size.parameters == 50257 * 768 + 1024 * 768 + 12 * layer + 2 * 768 == 124_439_808
    flops = training_flops(size, tokens=1, length=1024)
    assert flops == 6 * 124_439_808 + 12 * 12 * 768 * 1024


def test_a_llama_has_its_7_billion_weights_though_none_is_there(seven: Size) -> None:
    layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    assert seven.parameters == 2 * 32000 * 4096 + 32 * layer + 4096 == 6_738_415_616
    assert seven.gated


def test_every_gpu_of_data_parallel_holds_18_bytes_a_weight() -> None:
    held = Plan(GPT, STEP, 64, DP).held()
    assert held.weights == (4 + 2) * GPT.parameters  # and a copy for the products
    assert held.gradients == 4 * GPT.parameters
    assert held.optimizer == 8 * GPT.parameters


def test_muon_keeps_one_moment_of_matrices_and_two_of_all_else() -> None:
    table = 50257 * 2048
    size = replace(GPT, parameters=GPT.parameters + table, outer=table)
    held = Plan(size, replace(STEP, optim="muon"), 64, DP).held()
    assert held.optimizer == 4 * GPT.parameters + 8 * table


@pytest.mark.parametrize("layout", [FSDP, Layout(sharded=True, tensor=4)])
def test_parts_of_all_gpus_are_the_whole_once(layout: Layout) -> None:
    gathered = GPT.parameters / GPT.layers / layout.tensor
    held = Plan(GPT, STEP, 64, layout).held()
    copies = 2 * GPT.parameters / layout.tensor
    assert 64 * (held.weights - copies - 2 * 4 * gathered) == pytest.approx(4 * GPT.parameters)
    assert 64 * (held.gradients - 4 * gathered) == pytest.approx(4 * GPT.parameters)
    assert 64 * held.optimizer == pytest.approx(8 * GPT.parameters)


@pytest.mark.parametrize(("tensor", "bytes_a_number"), [(1, 34), (2, 10 + 24 / 2), (8, 10 + 24 / 8)])
def test_activations_of_a_layer_are_those_of_the_paper(tensor: int, bytes_a_number: float) -> None:
    """Korthikanti et al. 2022, table 2, without the pairs that attention no longer keeps."""
    held = Plan(GPT, STEP, 64, Layout(sharded=True, tensor=tensor)).held()
    assert held.activations == pytest.approx(24 * 4096 * 2048 * bytes_a_number)


def test_layers_that_are_made_again_keep_what_they_read_and_one_of_them_all() -> None:
    held = Plan(GPT, replace(STEP, recomputed=True), 64, DP).held()
    assert held.weights == (4 + 2 / 24) * GPT.parameters  # no copy outlives its layer
    assert held.activations == pytest.approx(4096 * 2048 * (24 * 2 + 34))


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_ring_sends_what_the_formula_says(count: int) -> None:
    """Gone round: each holds a vector of one chunk a member; after 2 (n - 1) rounds all hold the sums."""
    held = [[10**member * (chunk + 1) for chunk in range(count)] for member in range(count)]
    sums = [sum(chunks) for chunks in zip(*held, strict=True)]
    sent = 0
    for turn in range(2 * (count - 1)):
        adding = turn < count - 1
        moving = [(member, (member - turn) % count) for member in range(count)]
        values = [held[member][chunk] for member, chunk in moving]
        for (member, chunk), value in zip(moving, values, strict=True):
            to = held[(member + 1) % count]
            to[chunk] = to[chunk] + value if adding else value
        sent += 1  # chunks by each member
    assert held == [sums] * count
    assert all_reduce_seconds(float(count), gpus=count, bytes_per_s=1.0) == pytest.approx(sent)


def test_parts_that_are_gathered_twice_and_scattered_once_send_half_as_much_again() -> None:
    """Rajbhandari et al. 2020, section 7: three times the weights where a sum of gradients sends them twice."""
    one_pass = Step(tokens=64 * 4096, batch=4096, length=1024)
    sent = [Plan(GPT, one_pass, 64, layout).communication(A100) for layout in (DP, FSDP)]
    assert sent[0] == pytest.approx(2 * 63 / 64 * 4 * GPT.parameters / 200e9)
    assert sent[1] == pytest.approx(1.5 * sent[0])
    two_passes = replace(one_pass, tokens=2 * one_pass.tokens)
    assert Plan(GPT, two_passes, 64, FSDP).communication(A100) == pytest.approx(2 * sent[1])


def test_within_a_machine_links_are_what_it_waits_for() -> None:
    inside, outside = (Plan(GPT, STEP, gpus, DP).communication(A100) for gpus in (8, 16))
    assert inside == pytest.approx(2 * 7 / 8 * 4 * GPT.parameters / 300e9)
    assert outside == pytest.approx(2 * 15 / 16 * 4 * GPT.parameters / 200e9)


def test_one_gpu_computes_by_its_peak_and_sends_nothing() -> None:
    taken = Plan(GPT, STEP, 1, DP).seconds(A100, mfu=0.5)
    flops = 6 * GPT.parameters + 12 * 24 * 2048 * 1024
    assert taken.products == pytest.approx(STEP.tokens * flops / 156e12)
    assert taken.communication == 0


def test_a_table_that_scores_every_token_counts_like_any_other_weight() -> None:
    table = 30522 * 768
    reader = Size(85_000_000 + table, table, layers=12, width=768, heads=12, inner=3072, vocabulary=30522)
    writer = replace(reader, embedding=0)
    assert flops_a_token(reader, STEP) == pytest.approx(flops_a_token(writer, STEP))
    some = flops_a_token(reader, replace(STEP, scored=0.15)) - flops_a_token(reader, replace(STEP, scored=0.0))
    assert some == pytest.approx(0.15 * 6 * table)


def test_a_batch_that_is_read_twice_computes_and_holds_twice_as_much() -> None:
    once, twice = (Plan(GPT, replace(STEP, reads=reads), 64, LAYOUTS[-1]) for reads in (1, 2))
    assert twice.held().activations == 2 * once.held().activations
    assert twice.held().weights == once.held().weights
    assert twice.seconds(A100, mfu=0.4).products == pytest.approx(2 * once.seconds(A100, mfu=0.4).products)


def test_the_simplest_layout_that_fits_is_taken_and_none_where_a_step_has_too_few_rows(seven: Size) -> None:
    step = Step(tokens=1 << 20, batch=4096, length=4096)
    taken = {name: simplest(seven, step, gpus=8, gpu=gpu) for name, gpu in GPUS.items()}
    assert {name: plan.layout.name for name, plan in taken.items() if plan} == {
        "A100": "FSDP", "H100": "FSDP", "H200": "FSDP", "B200": "DP",
    }  # fmt: skip
    assert seven.parameters * 18 > GPUS["H100"].memory_bytes  # why not DP there
    assert simplest(seven, step, gpus=4096, gpu=GPUS["B200"]) is None


@pytest.mark.parametrize("layouts", [(FSDP,), LAYOUTS[2:]], ids=["fsdp", "tensor"])
def test_on_half_of_the_fewest_gpus_it_does_not_fit(seven: Size, layouts: tuple[Layout, ...]) -> None:
    step = Step(tokens=1 << 20, batch=4096, length=4096)
    found = smallest(seven, step, gpu=A100, layouts=layouts, most=1024)
    assert found is not None
    assert found.held().fits(A100)
    halves = [Plan(seven, step, found.gpus // 2, layout) for layout in layouts]
    assert not any(half.possible and half.held().fits(A100) for half in halves)


@pytest.mark.parametrize(("heads", "keys", "ways"), [(32, 32, (2, 4, 8)), (32, 2, (2,)), (9, 3, ())])
def test_only_layouts_that_the_heads_allow_are_possible(
    tmp_path: Path, heads: int, keys: int, ways: tuple[int, ...]
) -> None:
    config = {**LLAMA_7B, "num_attention_heads": heads, "num_key_value_heads": keys, "hidden_size": 64 * heads}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    size = outlined_config(tmp_path)
    assert size.ways == ways
    assert {layout.tensor for layout in LAYOUTS if Plan(size, STEP, 8, layout).possible} == {1, *ways}

"""`layer-decay`: the rate of a layer is a share of that of the one above it, and the rows of the table follow."""

from __future__ import annotations

import torch
from training_bench import Bench, state_of

from hone.train.depth import depths
from hone.train.layer_decay import LayerDecay
from hone.train.techniques import LayerDecaySettings

HALF = [{"name": "layer-decay", "decay": 0.5}]


def test_rates_fall_from_the_last_layer_to_the_embeddings(bench: Bench) -> None:
    loop = bench.loop(learning_rate=8e-3, head_learning_rate=1.0, techniques=HALF)
    peaks = {id(p): group["peak"] for group in loop.optimizer.param_groups for p in group["params"]}
    found = {name: peaks[id(p)] for name, p in loop.model.named_parameters()}
    assert found["head.linear.weight"] == 1.0
    for name, peak in found.items():
        if name.startswith("backbone."):
            expected = {"encoder.layer.1.": 8e-3, "encoder.layer.0.": 4e-3, "embeddings.": 2e-3}
            assert peak == next(value for start, value in expected.items() if f"backbone.{start}" in name), name
    assert loop.optimizer.param_groups[0]["peak"] == 8e-3, "what the log calls the learning rate"


def test_rows_moved_late_move_at_the_rate_of_the_embeddings(bench: Bench) -> None:
    moved = {}
    table = "backbone.embeddings.word_embeddings.weight"
    for decay in (1.0, 0.5):
        model = bench.model()
        before = state_of(model)[table]
        bench.run(bench.loop(model=model, max_steps=1, techniques=[{"name": "layer-decay", "decay": decay}]))
        moved[decay] = state_of(model)[table] - before
    torch.testing.assert_close(moved[0.5], moved[1.0] / 4, rtol=1e-3, atol=1e-8)


def test_a_decay_of_one_changes_no_rate(bench: Bench) -> None:
    assert set(LayerDecay(LayerDecaySettings(decay=1.0), bench.course(bench.model())).rates().values()) == {1.0}


def test_depth_is_told_by_names() -> None:
    names = ["distilbert.embeddings.LayerNorm.bias", "distilbert.transformer.layer.0.ffn.lin1.weight",
             "distilbert.transformer.layer.5.ffn.lin1.weight", "pre_classifier.weight"]  # fmt: skip
    found, layers = depths(names)
    assert ([found[name] for name in names], layers) == ([0, 1, 6, 7], 6)
    for table in ("shared.weight", "model.shared.weight"):  # of T5, of BART
        assert depths([table, "decoder.block.1.layer.0.SelfAttention.q.weight"])[0][table] == 0
    assert depths(["transformer.wte.weight", "transformer.h.3.attn.bias"])[1] == 4
    assert depths(["encoder.albert_layer_groups.0.albert_layers.0.ffn.weight", "embeddings.weight"])[1] == 0

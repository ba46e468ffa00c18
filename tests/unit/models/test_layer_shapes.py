"""Layers of other shapes: what a file names is built, opened again, trained on, and refused where it does not fit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hone.compress.low_rank import factored_layer
from hone.compress.prune import cut_heads, cut_inner
from hone.core.errors import BundleError
from hone.models.cost import size_of
from hone.models.files import SHAPED_FILE, shapes_in
from hone.models.heads import HeadSpec
from hone.models.int8 import to_int8
from hone.models.model import HEAD_FILE, Model, build_model, save_model
from hone.models.shapes import FactoredEmbedding, FactoredLinear, is_shaped, kept, linear, whole

LABELS = ("a", "b", "c")
BATCH = {
    "input_ids": torch.tensor([[2, 10, 20, 3], [2, 11, 3, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
}


def logits(model: Model) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(BATCH)["logits"]
    return found


def shaped(base: Path, kind: str) -> Model:
    """A model with fewer heads in one layer, fewer inner units in the other, factors and zeros in both."""
    torch.manual_seed(0)
    model = build_model(base, HeadSpec(kind, LABELS))
    first, second = model.encoder.layer  # type: ignore[union-attr]
    cut_heads(first, torch.tensor([0, 3]), size=8)
    cut_inner(second, torch.arange(10, 40))
    second.attention.self.key = factored_layer(second.attention.self.key, None, share=0.5, of="weights")
    first.output.dense = factored_layer(first.output.dense, None, share=0.5, of="weights")
    first.intermediate.dense.weight.data[:50] = 0.0
    table = model.embeddings.word_embeddings
    narrow = torch.nn.Embedding(len(table.weight), 8, padding_idx=table.padding_idx)
    model.embeddings.word_embeddings = FactoredEmbedding(narrow, linear(torch.randn(32, 8), None))
    return model


@pytest.mark.parametrize("kind", ["sequence-mean", "sequence-cls"])
@pytest.mark.parametrize("rounded", [False, True])
def test_what_is_written_is_what_is_opened(kind: str, rounded: bool, tiny_base: Path, tmp_path: Path) -> None:
    model = shaped(tiny_base, kind)
    if rounded:
        to_int8(model.backbone)
    names = save_model(model, tmp_path)
    assert "model.safetensors" not in names
    again = build_model(tmp_path, HeadSpec(kind, LABELS), head_from=tmp_path / HEAD_FILE)
    assert torch.equal(logits(again), logits(model))
    assert again.state_dict().keys() == model.state_dict().keys()
    assert not any(value.is_meta for value in [*again.parameters(), *again.buffers()])


@pytest.mark.parametrize("kind", ["sequence-mean", "sequence-cls"])
@pytest.mark.parametrize("other", ["sequence-mean", "sequence-cls"])
def test_it_serves_as_a_base_for_other_labels(kind: str, other: str, tiny_base: Path, tmp_path: Path) -> None:
    model = shaped(tiny_base, kind)
    save_model(model, tmp_path)
    again = build_model(tmp_path, HeadSpec(other, ("x", "y")), dropout=0.3)
    assert logits(again).shape == (2, 2)
    assert again.embeddings.dropout.p == 0.3
    ours, theirs = (one.encoder.state_dict() for one in (again, model))  # type: ignore[union-attr]
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_factors_learn_as_their_product_does() -> None:
    torch.manual_seed(0)
    layer = FactoredLinear(torch.nn.Linear(6, 2, bias=False), torch.nn.Linear(2, 5))
    inputs = torch.randn(3, 6)
    layer(inputs).sum().backward()
    called = [copy.deepcopy(parameter.grad) for parameter in layer.parameters()]
    layer.zero_grad()
    torch.nn.functional.linear(inputs, layer.weight, layer.bias).sum().backward()
    for parameter, gradient in zip(layer.parameters(), called, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_the_kept_outputs_and_inputs_of_factors_are_those_of_their_product() -> None:
    layer = FactoredLinear(torch.nn.Linear(6, 2, bias=False), torch.nn.Linear(2, 5))
    some, others = torch.tensor([0, 4]), torch.tensor([1, 2, 5])
    left = kept(kept(layer, outputs=some), inputs=others)
    torch.testing.assert_close(left.weight, layer.weight[some][:, others])
    torch.testing.assert_close(left.bias, layer.bias[some])
    assert (left.in_features, left.out_features) == (3, 2)


def test_a_factored_table_in_one_piece_gives_the_same() -> None:
    table = FactoredEmbedding(torch.nn.Embedding(9, 2, padding_idx=0), torch.nn.Linear(2, 5, bias=False))
    one = whole(table)
    assert one.padding_idx == 0
    torch.testing.assert_close(one(torch.arange(9)), table(torch.arange(9)))
    assert whole(one) is one


def test_a_plain_model_is_not_shaped(tiny_base: Path) -> None:
    for kind in ("sequence-mean", "sequence-cls"):
        assert not is_shaped(build_model(tiny_base, HeadSpec(kind, LABELS)).backbone)


def test_the_cost_of_training_counts_what_is_there(tiny_base: Path, tmp_path: Path) -> None:
    model = shaped(tiny_base, "sequence-mean")
    save_model(model, tmp_path)
    size = size_of(tmp_path)
    assert size.parameters == sum(parameter.numel() for parameter in model.backbone.parameters())
    assert shapes_in(tmp_path / SHAPED_FILE)["encoder.layer.0.intermediate.dense.weight"] == (64, 32)


def spoiled(folder: Path, **tensors: Any) -> str:
    """What is said of a file with other tensors."""
    save_file({**load_file(folder / SHAPED_FILE), **tensors}, folder / SHAPED_FILE)
    with pytest.raises(BundleError) as caught:
        build_model(folder, HeadSpec("sequence-mean", LABELS), head_from=folder / HEAD_FILE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"encoder.layer.1.attention.self.query.weight": torch.zeros(24, 32)}, "of layer 1 do not fit each other"),
        ({"encoder.layer.1.intermediate.dense.weight": torch.zeros(7, 32)}, "feed-forward block of layer 1"),
        (
            {"encoder.layer.0.attention.self.query.weight": torch.zeros(16, 30)},
            "layer 0 reads and gives states of widths [30, 32]",
        ),
    ],
)
def test_shapes_that_do_not_fit_each_other_are_refused(
    tensors: dict[str, Any], words: str, tiny_base: Path, tmp_path: Path
) -> None:
    save_model(shaped(tiny_base, "sequence-mean"), tmp_path)
    assert words in spoiled(tmp_path, **tensors)


def test_a_file_that_lacks_a_tensor_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    save_model(shaped(tiny_base, "sequence-mean"), tmp_path)
    state = load_file(tmp_path / SHAPED_FILE)
    del state["encoder.layer.0.output.LayerNorm.weight"]
    save_file(state, tmp_path / SHAPED_FILE)
    assert "lack 1 tensors" in spoiled(tmp_path)

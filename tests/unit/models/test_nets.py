"""The nets compute what their papers write, checked against torch's own operators; and they export."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.core.errors import RecipeError
from hone.models.architectures import ARCHITECTURES
from hone.models.export import export_onnx
from hone.models.heads import HeadSpec
from hone.models.model import build_model
from hone.models.nets import Net, net_class, read_config

LENGTHS = (5, 2, 7)


def net_of(name: str, **changed: Any) -> Net:
    entry = ARCHITECTURES[name]
    module, _, function = entry.config.partition(":")
    settings = entry.settings.model_validate({"hidden": 12, "embedding": 8, **changed})
    config = getattr(importlib.import_module(module), function)(settings, 30)
    torch.manual_seed(0)
    return net_class(config)(config).eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Embeddings, zeros where padded, and where tokens are."""
    torch.manual_seed(1)
    real = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).float().unsqueeze(2)
    return torch.randn(len(LENGTHS), max(LENGTHS), 8) * real, real


def test_textcnn_is_a_convolution_of_each_width_and_the_most_over_time(batch: tuple[Tensor, Tensor]) -> None:
    net: Any = net_of("textcnn", widths=[1, 2, 3])
    states, text = net.states(*batch), net.text(*batch)
    for i, length in enumerate(LENGTHS):
        row = batch[0][i, :length].t()[None]  # [1, embedding, tokens]
        found = []
        for width, layer in zip([1, 2, 3], net.filters, strict=True):
            kernel = layer.weight.view(4, width, 8).transpose(1, 2)
            around = functional.pad(row, ((width - 1) // 2, width // 2))
            found.append(functional.conv1d(around, kernel, layer.bias).relu()[0].t())
        wanted = torch.cat(found, dim=1)
        assert torch.allclose(states[i, :length], wanted, atol=1e-6)
        assert torch.allclose(text[i], wanted.amax(0), atol=1e-6)
        assert not states[i, length:].any()


def test_dan_is_layers_over_the_mean(batch: tuple[Tensor, Tensor]) -> None:
    net: Any = net_of("dan")
    one, two = net.layers
    for i, length in enumerate(LENGTHS):
        mean = batch[0][i, :length].mean(0)
        assert torch.allclose(net.text(*batch)[i], two(one(mean).relu()).relu(), atol=1e-6)
        state = two(one(mean + batch[0][i, 1]).relu()).relu()
        assert torch.allclose(net.states(*batch)[i, 1], state, atol=1e-6)


def test_dan_leaves_tokens_out_of_the_mean_in_training_alone(batch: tuple[Tensor, Tensor]) -> None:
    net = net_of("dan", dropout=0.0, word_dropout=0.9)
    assert torch.equal(net.text(*batch), net.text(*batch))
    net.train()
    assert not torch.equal(net.text(*batch), net.text(*batch))
    assert bool(net.text(*batch).isfinite().all())


def test_bilstm_reads_each_text_alone_in_both_directions(batch: tuple[Tensor, Tensor]) -> None:
    net: Any = net_of("bilstm", layers=2)
    for i, length in enumerate(LENGTHS):
        states = batch[0][i : i + 1, :length]
        for layer in net.layers:
            states, _ = nn.LSTM.forward(layer, states)
        assert torch.allclose(net.states(*batch)[i, :length], states[0], atol=1e-6)
        assert torch.allclose(net.text(*batch)[i], states[0].amax(0), atol=1e-6)


@pytest.mark.parametrize("name", ["bilstm"])
def test_a_net_exports_with_the_same_logits(name: str, tmp_path: Path) -> None:
    from hone.predict.onnx import OnnxEngine

    net_of(name).save_pretrained(tmp_path)
    model = build_model(tmp_path, HeadSpec("sequence-cls", ("a", "b"))).eval()
    rows = {
        "input_ids": torch.tensor([[2, 9, 8, 3], [2, 3, 0, 0]]),
        "attention_mask": torch.tensor([[1] * 4, [1, 1, 0, 0]]),
    }
    with torch.inference_mode():
        wanted = model(rows)["logits"].numpy()
    said = OnnxEngine(export_onnx(model)).forward(rows)["logits"].numpy()
    assert np.allclose(said, wanted, atol=1e-6)


def test_an_architecture_that_is_not_here_is_told_by_its_name(tmp_path: Path) -> None:
    net = net_of("dan")
    net.config.architecture = "transducer"
    net.save_pretrained(tmp_path)
    assert read_config(tmp_path).architecture == "transducer"
    with pytest.raises(RecipeError, match="transducer"):
        build_model(tmp_path, HeadSpec("sequence-mean", ("a", "b")))

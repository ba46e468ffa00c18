"""A model whose base is held in eight or four bits: its linear layers rounded, and whole again."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from transformers.pytorch_utils import Conv1D

from hone.core.memory import give_back
from hone.models.adapters.method import Shapes, linear_layers, replace, turned_back
from hone.models.grouped import Bits
from hone.models.held import BACK_SECONDS, LEAST_BLOCK, HeldLinear, block_of, rounded_bytes
from hone.models.model import Model


def hold(model: Model, bits: Bits) -> None:
    """Round the linear layers of the pretrained part, in place; embeddings, norms, biases and what scores a vocabulary
    stay as they are, and so does the head. It learns and answers module by module from then on, for whatever joins
    layers or keeps what it made of them would hold them whole.

    Raises:
        MissingExtra: torchao is not installed.
    """
    for name, layer in linear_layers(model.backbone).items():
        assert isinstance(layer, nn.Linear | Conv1D)
        replace(model.backbone, name, HeldLinear.of(layer, bits))
    for value in model.backbone.parameters():  # out of the base's file, which stays in memory while a tensor lies in it
        value.data = value.data.clone()
    model.bits = bits
    if model.encoder is not None:
        model.encoder.modular = model.encoder.lean = True
        model.encoder.renewed()
    give_back()


def let_go(model: Model) -> None:
    """Make the layers that `hold` rounded, and no adapter stands beside, plain ones in float32 again, in place."""
    for name, layer in linear_layers(model.backbone).items():
        if isinstance(layer, HeldLinear):
            replace(model.backbone, name, turned_back(layer.weight, layer.bias, turned=layer.turned))
    model.bits = None
    if model.encoder is not None:
        model.encoder.lean = False


def unheld(shapes: Shapes) -> Mapping[str, tuple[int, int]]:
    """The layers that four bits are not to be had of, by name: no block of theirs has `LEAST_BLOCK` weights."""
    return {name: size for name, size in shapes.linear.items() if block_of(size[0] * size[1])[0] < LEAST_BLOCK}


def spared_bytes(shapes: Shapes, bits: Bits) -> int:
    """How much less memory the layers take in so many bits than in float32."""
    weights = shapes.linear.values()
    return sum(4 * outputs * inputs - rounded_bytes(outputs, inputs, bits=bits) for outputs, inputs in weights)


def back_seconds(shapes: Shapes, bits: Bits) -> float:
    """What bringing all layers back once takes on a CPU."""
    return BACK_SECONDS[bits] * sum(outputs * inputs for outputs, inputs in shapes.linear.values())

"""Layers of other shapes than a configuration says: fewer heads, fewer inner units, two factors in place of one weight.

A weights file states every tensor's shape, and that is what is built: `reshape` replaces the layers of a freshly built
backbone by ones into which the file's tensors fit. No second configuration says the same again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hone.models.grouped import GroupedLinear
from hone.models.int8 import Int8Embedding, Int8Linear, is_table


class FactoredLinear(nn.Module):
    """A linear layer whose weight is a product of two narrow ones: ``second(first(x))``.

    Args:
        first: [rank, inputs], without bias.
        second: [outputs, rank], with the layer's bias.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        if first.out_features != second.in_features:
            raise ValueError(f"factors of rank {first.out_features} and {second.in_features}")
        self.first, self.second = first, second

    @property
    def weight(self) -> Tensor:
        """The product, float32 [outputs, inputs]; gradients go through it to both factors."""
        first, second = self.first.weight, self.second.weight
        assert isinstance(first, Tensor)
        assert isinstance(second, Tensor)
        return second @ first

    @property
    def bias(self) -> Any:
        """Of the outputs."""
        return self.second.bias

    @property
    def in_features(self) -> int:
        """Inputs."""
        return int(self.first.in_features)  # type: ignore[arg-type]

    @property
    def out_features(self) -> int:
        """Outputs."""
        return int(self.second.out_features)  # type: ignore[arg-type]

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(input))
        return out


class FactoredEmbedding(nn.Module):
    """An embedding table whose rows are a narrow table's, made wide by one linear layer: ``second(first(ids))``.

    Args:
        first: Table [tokens, rank].
        second: [width, rank], without bias.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        rank = first.weight.shape[1]  # type: ignore[index]
        if rank != second.in_features:
            raise ValueError(f"factors of rank {rank} and {second.in_features}")
        self.first, self.second = first, second

    @property
    def weight(self) -> Tensor:
        """The product, float32 [tokens, width]; for reading: what is written into it changes nothing."""
        table, wider = self.first.weight, self.second.weight
        assert isinstance(table, Tensor)
        assert isinstance(wider, Tensor)
        return table @ wider.t()

    @property
    def padding_idx(self) -> int | None:
        """Of the table."""
        found: int | None = getattr(self.first, "padding_idx", None)
        return found

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(input))
        return out


def kept(layer: nn.Linear | FactoredLinear, *, outputs: Tensor | None = None, inputs: Tensor | None = None) -> Any:
    """``layer`` with these of its outputs or inputs alone, int64 [n]; a new layer of its own weights."""
    if isinstance(layer, FactoredLinear):
        first: Any = layer.first if inputs is None else kept(layer.first, inputs=inputs)  # type: ignore[arg-type]
        second: Any = layer.second if outputs is None else kept(layer.second, outputs=outputs)  # type: ignore[arg-type]
        return FactoredLinear(first, second)
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    if outputs is not None:
        weight, bias = weight[outputs], None if bias is None else bias[outputs]
    if inputs is not None:
        weight = weight[:, inputs]
    return linear(weight, bias)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer with copies of these weights, [outputs, inputs] and [outputs]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def whole(layer: FactoredEmbedding | nn.Embedding) -> nn.Embedding:
    """An embedding table in one piece; one that is stays as it is."""
    if isinstance(layer, nn.Embedding):
        return layer
    weight = layer.weight.detach()
    return nn.Embedding(weight.shape[0], weight.shape[1], padding_idx=layer.padding_idx, _weight=weight)


def reshape(module: nn.Module, state: Mapping[str, Tensor], *, prefix: str = "") -> None:
    """Replace linear layers and embedding tables of ``module`` in place by ones that ``state`` fits into.

    Args:
        state: Tensors by their names in ``module``, under ``prefix``. A layer that it does not name stays.
    """
    for name, child in list(module.named_children()):
        here = f"{prefix}{name}."
        weight = state.get(f"{here}weight")
        rounded = weight is not None and not weight.is_floating_point()
        if type(child) is nn.Linear or (isinstance(child, Conv1D) and (weight is None or rounded)):
            setattr(module, name, _linear(child, state, here))
        elif type(child) is nn.Embedding or (is_table(child) and rounded):
            setattr(module, name, _embedding(child, state, here))
        else:
            reshape(child, state, prefix=here)


def _linear(layer: nn.Module, state: Mapping[str, Tensor], prefix: str) -> nn.Module:
    if f"{prefix}first.weight" in state:
        return FactoredLinear(*(_linear(layer, state, f"{prefix}{part}.") for part in ("first", "second")))
    weight = state.get(f"{prefix}weight")
    if weight is None:
        return layer
    if weight.dtype in (torch.int8, torch.uint8):
        scale, bias = state[f"{prefix}scale"], state[f"{prefix}bias"]
        return (
            GroupedLinear(weight, scale, bias)
            if scale.ndim == 2
            else Int8Linear(weight, scale, bias, state.get(f"{prefix}reach"))
        )
    outputs, inputs = weight.shape
    return nn.Linear(inputs, outputs, bias=f"{prefix}bias" in state, device="meta")


def _embedding(layer: nn.Embedding, state: Mapping[str, Tensor], prefix: str) -> nn.Module:
    if f"{prefix}first.weight" in state:
        table = _embedding(layer, state, f"{prefix}first.")
        return FactoredEmbedding(table, _linear(layer, state, f"{prefix}second."))
    weight = state.get(f"{prefix}weight")
    if weight is None:
        return layer
    if weight.dtype == torch.int8:
        return Int8Embedding(weight, state[f"{prefix}scale"])
    return nn.Embedding(weight.shape[0], weight.shape[1], padding_idx=layer.padding_idx, device="meta")


def straight(module: nn.Module) -> None:
    """Replace the linear layers of ``module`` that keep their weights [inputs, outputs], as GPT-2's, by usual ones."""
    for holder in list(module.modules()):
        for name, child in list(holder.named_children()):
            if isinstance(child, Conv1D):
                setattr(holder, name, linear(child.weight.t(), child.bias))


def is_shaped(backbone: Any) -> bool:
    """Whether its tensors differ in name or shape from what its configuration makes."""
    with torch.device("meta"):
        plain = {name: value.shape for name, value in type(backbone)(backbone.config).state_dict().items()}
    return any(plain.get(name) != value.shape for name, value in backbone.state_dict().items())


def require_fitting(layers: Sequence[Any], *, width: int, size: int) -> None:
    """Raise `ValueError` unless the parts of every layer of an encoder fit each other; ``size``: of a head."""
    for i, layer in enumerate(layers):
        own, out = layer.attention.self, layer.attention.output.dense
        reading = (own.query, own.key, own.value, layer.intermediate.dense)
        widths = {part.in_features for part in reading} | {out.out_features, layer.output.dense.out_features}
        if widths != {width}:
            raise ValueError(f"layer {i} reads and gives states of widths {sorted(widths)}, not of {width} alone")
        between = {part.out_features for part in (own.query, own.key, own.value)} | {out.in_features}
        if len(between) > 1 or between.pop() % size:
            raise ValueError(f"query, key, value and output of layer {i} do not fit each other in heads of {size}")
        if layer.intermediate.dense.out_features != layer.output.dense.in_features:
            raise ValueError(f"the two halves of the feed-forward block of layer {i} do not fit each other")

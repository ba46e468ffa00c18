"""Layers with weights of eight bits: one scale a row, products in integers, what comes out in float32.

A weight row ``w`` is kept as ``round(w / s)`` with ``s = max|w| / 127`` (symmetric; Jacob et al. 2018). What goes into
a linear layer is brought to seven bits by its own range at each call: with eight, sums of two products overflow the
sixteen bits of processors without VNNI. oneDNN multiplies the two and gives float32. An embedding table's rows are
brought back as they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HIGHEST = 127
HIGHEST_INPUT, ZERO = 63, 64  # of what goes in, which is unsigned: 1 to 127
TINY = 1e-12


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight`` float32 [rows, width] as int8 of that shape and a scale float32 [rows]."""
    scale = weight.abs().amax(dim=1).clamp(min=1e-12) / HIGHEST
    return torch.round(weight / scale[:, None]).clamp(-HIGHEST, HIGHEST).to(torch.int8), scale


class Int8Linear(nn.Module):
    """A linear layer over int8 weights; for prediction on a CPU alone.

    Args:
        weight: int8 [outputs, inputs].
        scale: float32 [outputs].
        bias: float32 [outputs].
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor
    _zeros: Tensor
    _half: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.register_buffer("_zeros", torch.zeros(len(scale), dtype=torch.int64), persistent=False)
        self.register_buffer("_half", torch.tensor(ZERO + 0.5), persistent=False)
        self._packed: Any = None

    @classmethod
    def of(cls, layer: nn.Linear) -> Int8Linear:
        """``layer``, rounded."""
        bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)
        return cls(*rounded(layer.weight.detach()), bias.detach().clone())

    @classmethod
    def joined(cls, layers: Sequence[Int8Linear]) -> Int8Linear:
        """Several layers over one input as one, their outputs side by side."""
        return cls(*(torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "scale", "bias")))

    @property
    def in_features(self) -> int:
        """Inputs."""
        return self.weight.shape[1]

    @property
    def out_features(self) -> int:
        """Outputs."""
        return len(self.scale)

    def forward(self, input: Tensor) -> Tensor:
        if self._packed is None:  # weights as the kernel reads them; made of what was loaded last
            self._packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
        flat = input.detach().reshape(-1, input.shape[-1])
        low, high = torch.aminmax(flat)
        scale = max(-float(low), float(high), TINY) / HIGHEST_INPUT
        whole = torch.add(self._half, flat, alpha=1 / scale).to(torch.uint8)  # rounds: what lies above zero is cut off
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            whole, scale, ZERO, self._packed, self.scale, self._zeros, self.bias,
            1.0, 0, torch.float32, "none", [], "none",
        )  # fmt: skip
        return out.view(*input.shape[:-1], -1)

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        super()._load_from_state_dict(*args, **options)
        self._packed = None


class Int8Embedding(nn.Module):
    """An embedding table over int8 rows.

    Args:
        weight: int8 [rows, width].
        scale: float32 [rows].
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    @classmethod
    def of(cls, table: nn.Embedding) -> Int8Embedding:
        """``table``, rounded."""
        return cls(*rounded(table.weight.detach()))

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(input, self.weight).float() * functional.embedding(input, self.scale[:, None])


def to_int8(module: nn.Module) -> None:
    """Replace every linear layer and embedding table of ``module`` by its rounded one, in place."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, Int8Linear.of(child))
        elif type(child) is nn.Embedding:
            setattr(module, name, Int8Embedding.of(child))
        else:
            to_int8(child)


def round_tables(module: nn.Module) -> None:
    """Replace every embedding table of ``module`` by its rounded one, in place."""
    for name, child in module.named_children():
        if type(child) is nn.Embedding:
            setattr(module, name, Int8Embedding.of(child))
        else:
            round_tables(child)


def is_int8(module: nn.Module) -> bool:
    """Whether it holds such layers."""
    return any(isinstance(child, Int8Linear | Int8Embedding) for child in module.modules())

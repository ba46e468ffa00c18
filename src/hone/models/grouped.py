"""Linear layers whose weights alone are integers, of eight or four bits, with one scale a group of inputs.

They are brought back to float32 at each call, so products are those of float32: what is saved is memory and disk, not
time. Groups keep four bits near (Dettmers and Zettlemoyer 2023): a weight ``w`` of a group is kept as
``round(w / s)`` with ``s = max|w| / 127`` or ``max|w| / 7``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Bits = Literal[8, 4]

HIGHEST: dict[Bits, int] = {8: 127, 4: 7}
MIDDLE = 8  # what is added to four bits, which are kept unsigned
TINY = 1e-12


class GroupedLinear(nn.Module):
    """A linear layer over such weights; for prediction.

    Args:
        weight: int8 [outputs, inputs], or of four bits uint8 [outputs, inputs / 2], the even input in the low half.
        scale: float32 [outputs, groups]; ``groups`` divides the inputs.
        bias: float32 [outputs].
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    @classmethod
    def of(cls, layer: nn.Linear, *, bits: Bits, group: int) -> GroupedLinear:
        """``layer``, rounded; one whose inputs ``group`` does not divide has one group a row, and one with an odd
        number of inputs eight bits."""
        weight = layer.weight.detach()
        bits = 8 if weight.shape[1] % 2 else bits
        size = group if weight.shape[1] % group == 0 else weight.shape[1]
        grouped = weight.view(len(weight), -1, size)
        scale = grouped.abs().amax(2).clamp(min=TINY) / HIGHEST[bits]
        whole = torch.round(grouped / scale[..., None]).flatten(1).to(torch.int8)
        return cls(whole if bits == 8 else packed(whole), scale, bias_of(layer))

    @classmethod
    def joined(cls, layers: Sequence[GroupedLinear]) -> GroupedLinear:
        """Several layers over one input as one, their outputs side by side."""
        return cls(*(torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "scale", "bias")))

    @property
    def in_features(self) -> int:
        """Inputs."""
        return self.weight.shape[1] * (2 if self.weight.dtype == torch.uint8 else 1)

    @property
    def out_features(self) -> int:
        """Outputs."""
        return len(self.weight)

    def dense(self) -> Tensor:
        """The weight, float32 [outputs, inputs]."""
        whole = unpacked(self.weight) if self.weight.dtype == torch.uint8 else self.weight
        grouped = whole.float().view(*self.scale.shape, -1)
        return (grouped * self.scale[..., None]).flatten(1)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.dense(), self.bias)


def bias_of(layer: nn.Linear) -> Tensor:
    """A copy of its bias, zeros where it has none."""
    return torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().clone()


def packed(whole: Tensor) -> Tensor:
    """int8 [rows, width] of -7 to 7 as uint8 [rows, width / 2], two a byte."""
    shifted = (whole + MIDDLE).to(torch.uint8)
    return shifted[:, 0::2] | shifted[:, 1::2] << 4


def unpacked(pairs: Tensor) -> Tensor:
    """The other way round."""
    return torch.stack([pairs & 15, pairs >> 4], dim=2).flatten(1).to(torch.int8) - MIDDLE

"""Linear layers of a base that is held in eight or four bits while an adapter beside it learns (Dettmers et al. 2023).

torchao rounds the weights: eight bits with a scale a row (its `Int8Tensor`), or four bits of NormalFloat whose scales
are rounded themselves (its `NF4Tensor`). A layer keeps the plain tensors that torchao's are made of, and brings its
weight back to float32 for each product, on the way forward and again on the way back, so that no whole weight is kept
in between. The numbers are torchao's own, bit for bit, several times sooner.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from hone.core.errors import MissingExtra
from hone.models.grouped import Bits

BLOCK, SCALES = 64, 256  # weights of one scale; scales of one scale of their own
AT_ONCE = 1 << 14  # weights that are compared with all levels together: as many as stay in a cache
LEAST_BLOCK = 16  # below it the scales outweigh what is saved
LEVELS = 16  # of four bits
BACK_SECONDS: dict[Bits, float] = {8: 0.3e-9, 4: 1e-9}  # a weight; on one AVX2 core


class HeldLinear(nn.Module):
    """A linear layer over rounded weights, which do not learn.

    Args:
        kept: Of eight bits ``whole`` int8 [outputs, inputs] and ``scale`` float32 [outputs, 1]. Of four ``pairs`` uint8
            [outputs * inputs / 2], the first weight of two in the high half; ``levels`` float32 [16]; and of blocks of
            weights that lie side by side ``scale`` int8 [blocks], ``steps`` float32 [groups], ``mean`` float32: the
            scale of a block is ``scale / steps + mean``.
        shape: Outputs and inputs.
        bias: float32 [outputs], or None.
        turned: Whether the layer was one whose weights lie [inputs, outputs].
    """

    scale: Tensor
    whole: Tensor
    pairs: Tensor
    levels: Tensor
    steps: Tensor
    mean: Tensor

    def __init__(
        self, kept: Mapping[str, Tensor], shape: tuple[int, int], *, bias: Tensor | None, turned: bool = False
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = shape
        self.turned = turned
        self.bias: Any = bias
        self._bits: Bits = 8 if "whole" in kept else 4
        for name, value in kept.items():  # in no state: whoever opens the layer has its base and rounds that again
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def of(cls, layer: nn.Linear | Conv1D, bits: Bits) -> HeldLinear:
        """``layer``, rounded; of four bits one that `block_of` divides.

        Raises:
            MissingExtra: torchao is not installed.
        """
        turned = isinstance(layer, Conv1D)
        weight = layer.weight.detach()
        weight = weight.t().contiguous() if turned else weight
        return cls(_rounded(weight, bits), (len(weight), weight.shape[1]), bias=layer.bias, turned=turned)

    @property
    def weight(self) -> Tensor:
        """Brought back, float32 [outputs, inputs]; made anew at each look."""
        if self._bits == 8:
            return self.whole.float().mul_(self.scale)
        both = torch.stack([self.levels.repeat_interleave(LEVELS), self.levels.repeat(LEVELS)], dim=1)  # of each byte
        found = both.view(torch.int64).flatten().index_select(0, self.pairs.int()).view(torch.float32)
        scale = (self.scale.view(len(self.steps), -1) / self.steps[:, None]).view(-1, 1).add_(self.mean)
        return found.view(len(scale), -1).mul_(scale).view(self.out_features, self.in_features)

    def product(self, input: Tensor) -> Tensor:
        """Without the bias."""
        out: Tensor = _Product.apply(input, self, None)  # type: ignore[no-untyped-call]
        return out

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = _Product.apply(input, self, self.bias)  # type: ignore[no-untyped-call]
        return out


class _Product(torch.autograd.Function):
    """A product with a `HeldLinear`, which alone is kept for the way back."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, layer: HeldLinear, bias: Tensor | None) -> Tensor:
        ctx.layer = layer
        return functional.linear(input, layer.weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        return gradient @ ctx.layer.weight.to(gradient.dtype), None, None


def _rounded(weight: Tensor, bits: Bits) -> dict[str, Tensor]:
    """What `HeldLinear` keeps of a float32 weight [outputs, inputs], as torchao rounds it."""
    try:
        from torchao.quantization import Int8Tensor, NF4Tensor, PerRow
    except ImportError as error:
        raise MissingExtra("torchao", extra="torchao", needed_for=f"a base in {bits} bits") from error
    if bits == 8:
        made = Int8Tensor.from_hp(weight, PerRow())
        return {"whole": made.qdata, "scale": made.scale}
    block, scales = block_of(weight.numel())
    flat = weight.flatten()
    levels = NF4Tensor.from_tensor(flat[:block], block, 1).nf4
    rows = torch.split(flat, AT_ONCE)
    parts = [NF4Tensor.convert_to_norm_float_weight(row, len(row) // block, block, levels) for row in rows]
    scale, steps, mean = NF4Tensor.double_quantize_scalers(flat, block, scales)
    return {"pairs": torch.cat(parts), "levels": levels, "scale": scale, "steps": steps, "mean": mean}


def block_of(weights: int) -> tuple[int, int]:
    """How many weights of so many share a scale of four bits, and how many scales one of their own."""
    block = math.gcd(weights, BLOCK)
    return block, math.gcd(weights // block, SCALES)


def rounded_bytes(outputs: int, inputs: int, *, bits: Bits) -> int:
    """Bytes of a layer's weights in so many bits, its bias left out."""
    weights = outputs * inputs
    if bits == 8:
        return weights + 4 * outputs
    block, scales = block_of(weights)
    blocks = weights // block
    return weights // 2 + blocks + 4 * (blocks // scales) + 4 + 4 * LEVELS


def held_tensors(module: nn.Module) -> Iterator[Tensor]:
    """What the layers of ``module`` that are held in fewer bits keep of their weights; no state has it."""
    for layer in module.modules():
        if isinstance(layer, HeldLinear):
            yield from layer.buffers(recurse=False)

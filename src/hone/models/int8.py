"""Layers with weights of eight bits: one scale a row, products in integers, what comes out in float32.

A weight row ``w`` of a linear layer is kept as ``round(w / s)`` with ``s = max|w| / 63`` (symmetric; Jacob et al.
2018), and what goes into it is brought to eight unsigned bits by its own range at each call: with eight bits for both,
sums of two products overflow the sixteen bits of processors without VNNI, and inputs need the eighth more than weights
do (docs/decisions/0021). A layer that knows the reach of its inputs, from texts that were
looked at before, uses that in place of each call's own. torch's quantized operators round the inputs and multiply in
one go; where the processor has none of them (they are x86's), oneDNN's multiply what was rounded before. An embedding
table's rows are brought back as they are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.models.grouped import GroupedLinear, bias_of

HIGHEST = 127  # of an embedding table's weights
HIGHEST_WEIGHT = 63  # of a linear layer's
HIGHEST_INPUT = 255
TINY = 1e-12
FUSED = ("x86", "fbgemm")  # engines of torch's quantized operators


def rounded(weight: Tensor, *, highest: int) -> tuple[Tensor, Tensor]:
    """``weight`` float32 [rows, width] as int8 of that shape, ``highest`` at most, and a scale float32 [rows]."""
    scale = weight.abs().amax(dim=1).clamp(min=TINY) / highest
    return torch.round(weight / scale[:, None]).clamp(-highest, highest).to(torch.int8), scale


class Int8Linear(nn.Module):
    """A linear layer over int8 weights; for prediction on a CPU alone.

    Args:
        weight: int8 [outputs, inputs].
        scale: float32 [outputs].
        bias: float32 [outputs].
        reach: float32 [2], the lowest and highest input; what lies outside is cut off. None: that of each call.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor
    reach: Tensor | None
    _zeros: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor, reach: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.register_buffer("reach", reach)
        self.register_buffer("_zeros", torch.zeros(len(scale), dtype=torch.int64), persistent=False)
        self._packed: Any = None
        self._known: tuple[float, int] | None = None

    @classmethod
    def of(cls, layer: nn.Linear, *, reach: Tensor | None = None) -> Int8Linear:
        """``layer``, rounded."""
        return cls(*rounded(layer.weight.detach(), highest=HIGHEST_WEIGHT), bias_of(layer), reach)

    @classmethod
    def joined(cls, layers: Sequence[Int8Linear]) -> Int8Linear:
        """Several layers over one input as one, their outputs side by side."""
        weight, scale, bias = (
            torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "scale", "bias")
        )
        return cls(weight, scale, bias, layers[0].reach)

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
            self._packed = self._pack()
        flat = input.detach().reshape(-1, input.shape[-1])
        out = self._fused(flat) if _has_fused() else self._in_two(flat)
        return out.view(*input.shape[:-1], -1)

    def _pack(self) -> Any:
        if not _has_fused():
            return torch.ops.onednn.qlinear_prepack(self.weight, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tensors of this kind will go one day; then `_has_fused` says no
            weight = torch._make_per_channel_quantized_tensor(self.weight, self.scale, self._zeros, 0)
        return torch.ops.quantized.linear_prepack(weight, self.bias)

    def _fused(self, flat: Tensor) -> Tensor:
        """By operators that round their inputs themselves; [n, inputs] to [n, outputs]."""
        out: Tensor
        if self.reach is None:
            out = torch.ops.quantized.linear_dynamic(flat, self._packed, False)
            return out
        out = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(flat, *self._steps, self._packed)
        return out

    def _in_two(self, flat: Tensor) -> Tensor:
        """Rounded first, then multiplied."""
        scale, zero = steps(*torch.aminmax(flat)) if self.reach is None else self._steps
        shifted = torch.add(torch.tensor(zero + 0.5), flat, alpha=1 / scale).clamp_(0, HIGHEST_INPUT)
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            shifted.to(torch.uint8), scale, zero, self._packed, self.scale, self._zeros, self.bias,
            1.0, 0, torch.float32, "none", [], "none",
        )  # fmt: skip
        return out

    @property
    def _steps(self) -> tuple[float, int]:
        """Scale and zero point of the known reach."""
        if self._known is None:
            assert self.reach is not None
            self._known = steps(*self.reach)
        return self._known

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        super()._load_from_state_dict(*args, **options)
        self._packed = self._known = None


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
        """``table``, rounded, with what it multiplies its rows by."""
        weight, scale = rounded(table.weight.detach(), highest=HIGHEST)
        return cls(weight, scale * float(getattr(table, "embed_scale", 1.0)))

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(input, self.weight).float() * functional.embedding(input, self.scale[:, None])


def _has_fused() -> bool:
    """Whether torch has the operators that round and multiply in one go."""
    return torch.backends.quantized.engine in FUSED and hasattr(torch, "_make_per_channel_quantized_tensor")


def steps(lowest: Tensor, highest: Tensor) -> tuple[float, int]:
    """Scale and zero point of eight unsigned bits over the inputs from ``lowest`` to ``highest``, scalars; zero is
    among them, so that it is kept exactly."""
    low, high = min(0.0, float(lowest)), max(0.0, float(highest))
    scale = max(high - low, TINY) / HIGHEST_INPUT
    return scale, round(-low / scale)


def fake_rounded(values: Tensor, scale: float, zero: int) -> Tensor:
    """``values`` as those steps bring them back."""
    return values.mul(1 / scale).add_(zero).round_().clamp_(0, HIGHEST_INPUT).sub_(zero).mul_(scale)


def to_int8(module: nn.Module, *, linear: Callable[[nn.Linear], nn.Module] = Int8Linear.of) -> None:
    """Replace every linear layer and embedding table of ``module`` by its rounded one, in place.

    Args:
        linear: Makes the rounded one of a linear layer.
    """
    tables: dict[tuple[int, float], Int8Embedding] = {}  # one for all places that have the same
    for holder in list(module.modules()):
        for name, child in list(holder.named_children()):
            if type(child) is nn.Linear:
                setattr(holder, name, linear(child))
            elif is_table(child):
                key = child.weight.data_ptr(), float(getattr(child, "embed_scale", 1.0))
                setattr(holder, name, tables.setdefault(key, Int8Embedding.of(child)))


def is_table(module: nn.Module) -> TypeGuard[nn.Embedding]:
    """Whether it is an embedding table of tokens or places and nothing else; its rows may be multiplied by a number, as
    BART's are."""
    return type(module) is nn.Embedding or (isinstance(module, nn.Embedding) and "embed_scale" in vars(module))


def round_tables(module: nn.Module) -> None:
    """Replace every embedding table of ``module`` by its rounded one, in place."""
    to_int8(module, linear=lambda layer: layer)


def is_int8(module: nn.Module) -> bool:
    """Whether it holds weights as integers."""
    return any(isinstance(child, Int8Linear | Int8Embedding | GroupedLinear) for child in module.modules())

"""Layers with weights of eight bits: one scale a row, products in integers, what comes out in float32.

A weight row ``w`` of a linear layer is kept as ``round(w / s)`` with ``s = max|w| / 63`` (symmetric; Jacob et al.
2018), and what goes into it is brought to eight unsigned bits by its own range at each call: with eight bits for both,
sums of two products overflow the sixteen bits of processors without VNNI, and inputs need the eighth more than weights
do (docs/decisions/0021). A layer that knows the reach of its inputs, from texts that were
looked at before, uses that in place of each call's own. Where a processor adds up products of eight bits in thirty-two
(VNNI, AMX) oneDNN multiplies what was rounded before, several times as fast; on other x86 processors torch's quantized
operators round the inputs and multiply in one go (docs/decisions/0094). An embedding table's rows are brought back as
they are read.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.models.capabilities import processor
from hone.models.grouped import GroupedLinear, bias_of

HIGHEST = 127  # of an embedding table's weights
HIGHEST_WEIGHT = 63  # of a linear layer's
HIGHEST_INPUT = 255
TINY = 1e-12
ROW_STEPS = (16, 1), (256, 16), (1024, 32)  # up to so many rows, a multiple of so many is multiplied
LONGEST_ROW_STEP = 128
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
        self._few = False
        self._packed: Any = None
        self._known: tuple[float, int] | None = None

    def expect_few(self) -> None:
        """From now on take the operator that is soonest done with few rows at a time, as one that writes has them."""
        if not self._few:
            self._few, self._packed = True, None

    @property
    def _fuses(self) -> bool:
        """Whether inputs are rounded by the operator that multiplies them."""
        return (self._few or not _adds_eights()) and _has_fused()

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
        flat = input.detach().reshape(-1, input.shape[-1])
        out = self._fused(flat) if self._fuses else self._in_two(flat)
        return out.view(*input.shape[:-1], -1)

    def after_gelu(self, inner: Int8Linear, input: Tensor) -> Tensor:
        """``self(gelu(inner(input)))``; ``inner`` gives what comes between as the whole numbers that this one reads."""
        if self._fuses or inner._fuses or self.reach is None:
            out: Tensor = self(torch.ops.aten.gelu_(inner(input)))
            return out
        flat = input.detach().reshape(-1, input.shape[-1])
        between = inner._multiplied(*inner._rounded(flat), gelu=True, into=self._steps)
        return self._multiplied(between, *self._steps)[: flat.shape[0]].view(*input.shape[:-1], -1)

    @property
    def _ready(self) -> Any:
        """The weights as the kernel reads them; made of what was loaded last."""
        packed = self._packed
        if packed is None:
            packed = self._packed = self._pack()
        return packed

    def _pack(self) -> Any:
        if not self._fuses:
            return torch.ops.onednn.qlinear_prepack(self.weight, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tensors of this kind will go one day; then `_has_fused` says no
            weight = torch._make_per_channel_quantized_tensor(self.weight, self.scale, self._zeros, 0)
        return torch.ops.quantized.linear_prepack(weight, self.bias)

    def _fused(self, flat: Tensor) -> Tensor:
        """By operators that round their inputs themselves; [n, inputs] to [n, outputs]."""
        out: Tensor
        if self.reach is None:
            out = torch.ops.quantized.linear_dynamic(flat, self._ready, False)
            return out
        out = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(flat, *self._steps, self._ready)
        return out

    def _in_two(self, flat: Tensor) -> Tensor:
        """Rounded first, then multiplied."""
        return self._multiplied(*self._rounded(flat))[: flat.shape[0]]

    def _rounded(self, flat: Tensor) -> tuple[Tensor, float, int]:
        """Inputs as eight unsigned bits, some rows more of anything, their scale and zero point."""
        scale, zero = steps(*torch.aminmax(flat)) if self.reach is None else self._steps
        return whole(flat, scale, zero, rows=_multiple(flat.shape[0])), scale, zero

    def _multiplied(
        self, rounded: Tensor, scale: float, zero: int, *, gelu: bool = False, into: tuple[float, int] | None = None
    ) -> Tensor:
        """Outputs for inputs uint8 [n, inputs] of that scale and zero point: float32 [n, outputs], or uint8 of the one
        and the other in ``into``."""
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            rounded, scale, zero, self._ready, self.scale, self._zeros, self.bias,
            *(into or (1.0, 0)), torch.float32 if into is None else torch.uint8, "gelu" if gelu else "none", [], "none",
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

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}  # what oneDNN packed cannot be copied


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


@functools.cache
def _adds_eights() -> bool:
    """Whether the processor has instructions for sums of products of eight bits, by which oneDNN is sooner done with
    what was rounded before than those operators are."""
    return bool(processor().get("avx512_vnni"))


@functools.cache
def _rounds_at_once() -> bool:
    """Whether torch has the operator that rounds in one pass over memory. It warns once that its kind of tensors will
    go one day; it is called here so that it has."""
    if not hasattr(torch, "quantize_per_tensor"):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
    return True


def whole(values: Tensor, scale: float, zero: int, *, rows: int) -> Tensor:
    """``values`` float32 [n, width] as uint8 [rows, width]: ``round(values / scale) + zero``, what lies outside of them
    cut off, and beyond the first n rows anything."""
    count, width = values.shape
    if _rounds_at_once():
        bits = torch.quantize_per_tensor(values, scale, zero, torch.quint8).untyped_storage()
        if rows > count:
            bits.resize_(rows * width)
        return torch.empty(0, dtype=torch.uint8).set_(bits, 0, (rows, width), (width, 1))
    out = torch.empty(rows, width, dtype=torch.uint8)  # three passes over memory in place of one
    shifted = torch.add(torch.tensor(zero + 0.5), values, alpha=1 / scale)
    out[:count] = shifted.clamp_(0, HIGHEST_INPUT)
    return out


def _multiple(rows: int) -> int:
    """``rows`` or some more, one of few numbers: oneDNN makes a program for each number of rows that it multiplies, and
    that takes as long as a batch does."""
    step = next((step for most, step in ROW_STEPS if rows <= most), LONGEST_ROW_STEP)
    return -(-rows // step) * step


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

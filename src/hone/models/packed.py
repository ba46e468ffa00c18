"""Layers of a transformers encoder over rows packed without padding, for a GPU: the tokens of all rows one after
another, flat [n, width], and attention by a kernel for rows of any length (FlashAttention-2, Dao 2023).

Everything but attention is done by transformers' own modules, which do not mind flat states: dropout, autocast and
layers of other kinds work in them as they always do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.blocks import Layout

KernelName = Literal["flash-attn", "torch-flash", "block-mask"]
Joint = Callable[[Sequence[Any]], Callable[[Tensor], Tensor]]  # makes linear layers one, their outputs side by side

HALVES = (torch.float16, torch.bfloat16)
AMPERE = (8, 0)  # the first compute capability that flash attention runs on
WIDEST = 192  # past this the way back is not there on every card


class Bounds(NamedTuple):
    """Where each row begins among packed queries and among packed keys, in the order in which kernels take it.

    Attributes:
        cu_seqlens_q, cu_seqlens_k: int32 [rows + 1]; the last entry is where the last row ends.
        max_seqlen_q, max_seqlen_k: No row has more.
    """

    cu_seqlens_q: Tensor
    cu_seqlens_k: Tensor
    max_seqlen_q: int
    max_seqlen_k: int


class Kernel(Protocol):
    """Attention of each row to itself alone, with derivatives."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, *, bounds: Bounds, drop: float) -> Tensor:
        """The context, shaped as q [queries, heads, size], of k and v [keys, heads, size]; ``drop``: the share of the
        probabilities that dropout drops, by torch's generator on the device."""
        ...


def flash_attn_varlen(q: Tensor, k: Tensor, v: Tensor, *, bounds: Bounds, drop: float) -> Tensor:
    """The kernel of the package flash-attn."""
    from flash_attn import flash_attn_varlen_func

    context: Tensor = flash_attn_varlen_func(q, k, v, *bounds, dropout_p=drop)
    return context


def torch_flash(q: Tensor, k: Tensor, v: Tensor, *, bounds: Bounds, drop: float) -> Tensor:
    """torch's own build of it, by the operator: `torch.nn.attention.varlen.varlen_attn`, which wraps it, knows no
    dropout and is not in every torch that hone takes."""
    causal = debug_mask = False
    context: Tensor = torch.ops.aten._flash_attention_forward(q, k, v, *bounds, drop, causal, debug_mask)[0]
    return context


def block_mask(q: Tensor, k: Tensor, v: Tensor, *, bounds: Bounds, drop: float) -> Tensor:
    """One attention over all tokens in which those of other rows are masked: exact in any type on any device, at a
    cost of n^2. What the other kernels are held to."""
    asking, seen = (torch.repeat_interleave(ends.diff()) for ends in (bounds.cu_seqlens_q, bounds.cu_seqlens_k))
    one_row = asking[:, None] == seen  # [queries, keys]
    q, k, v = (part.transpose(0, 1)[None] for part in (q, k, v))  # [1, heads, tokens, size]
    context = functional.scaled_dot_product_attention(q, k, v, attn_mask=one_row, dropout_p=drop)
    return context[0].transpose(0, 1)


KERNELS: dict[KernelName, Kernel] = {
    "flash-attn": flash_attn_varlen,
    "torch-flash": torch_flash,
    "block-mask": block_mask,
}


def kernel_for(device: torch.device, dtype: torch.dtype, *, size: int) -> KernelName | None:
    """The kernel for heads of ``size`` in ``dtype`` on ``device``; None where there is none, and rows stay padded."""
    if device.type != "cuda" or dtype not in HALVES or size % 8 or size > WIDEST:
        return None
    return installed_kernel(device)


@functools.cache
def installed_kernel(device: torch.device) -> KernelName | None:
    """The one for a CUDA device in float16 and bfloat16, of what is installed here."""
    if torch.version.hip is not None or torch.cuda.get_device_capability(device) < AMPERE:
        return None
    try:
        import flash_attn  # noqa: F401 - one that was built for another torch does not import
    except ImportError:
        return "torch-flash" if torch.backends.cuda.is_flash_attention_available() else None
    return "flash-attn"


def computed_in(states: Tensor) -> torch.dtype:
    """The type that products of ``states`` come out in, by autocast or their own."""
    kind = states.device.type
    cast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if cast else states.dtype


@dataclass(frozen=True)
class Packing:
    """How the rows of a batch are packed, and what attends to them.

    Attributes:
        kernel: See `Kernel`.
        starts: int64 [rows], the index in [n] of each row's first token.
        every, first: Bounds where every token asks, and where the first of each row does alone.
    """

    kernel: Kernel
    starts: Tensor
    every: Bounds
    first: Bounds

    @classmethod
    def of(cls, layout: Layout, name: KernelName) -> Packing:
        """That of a batch which lies as ``layout`` says."""
        count = layout.rows * layout.tokens if layout.places is None else len(layout.places)
        starts = functional.pad(layout.starts, (0, 1), value=count).int()
        single = torch.arange(layout.rows + 1, dtype=torch.int32, device=starts.device)
        most = layout.tokens  # not counted out: that would wait for the device
        return cls(KERNELS[name], layout.starts, Bounds(starts, starts, most, most), Bounds(single, starts, 1, most))

    def states(self, layer: Any, states: Tensor, *, joint: Joint, size: int, first: bool) -> Tensor:
        """What one of transformers' layers, with heads of ``size``, makes of states [n, width]: [n, width], or
        [rows, width] where only the first token of each row is asked for."""
        own = layer.attention.self
        if first:
            asked, bounds = states.index_select(0, self.starts), self.first
            flat = own.query(asked), *joint((own.key, own.value))(states).chunk(2, dim=1)
        else:
            asked, bounds = states, self.every
            flat = joint((own.query, own.key, own.value))(states).chunk(3, dim=1)
        q, k, v = (part.unflatten(1, (-1, size)) for part in flat)
        context = self.kernel(q, k, v, bounds=bounds, drop=own.dropout.p if own.training else 0.0)
        middle = layer.attention.output(context.flatten(1), asked)
        done: Tensor = layer.output(layer.intermediate(middle), middle)
        return done

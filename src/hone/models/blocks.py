"""The two halves of a transformer layer with its norms after the sums (Vaswani et al. 2017; Devlin et al. 2019), each
one autograd function: few passes over memory, residual sums inside matrix products, nothing kept twice.

States are flat, [n, width]: the tokens of all rows one after another without padding, which only attention needs.
``q``, ``k`` and ``v`` are projected by one matrix product, or where only the first token of each row is asked for,
``q`` for that one alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.attention import Attention

aten = torch.ops.aten
NORM_PARTS = [True, True, True]  # of a layer norm's backward: input, weight, bias


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a batch lie.

    Attributes:
        rows, tokens: Of the padded batch.
        places: int64 [n], each token's index in the padded batch, ascending; None where nothing is padded.
        starts: int64 [rows], the index in [n] of each row's first token.
        lengths: Of each row, up to its last token.
        bias: float32 [rows, 1, tokens], added to attention's scores: 0 for tokens, very low for padding; or None.
    """

    rows: int
    tokens: int
    places: Tensor | None
    starts: Tensor
    lengths: tuple[int, ...]
    bias: Tensor | None

    def padded(self, states: Tensor) -> Tensor:
        """[n, width] to [rows * tokens, width], zeros where padded."""
        if self.places is None:
            return states
        return states.new_zeros(self.rows * self.tokens, states.shape[1]).index_copy(0, self.places, states)

    def spread(self, states: Tensor) -> Tensor:
        """As `padded`, but with the state of the token before where padded, one of the same row; in one pass over
        memory."""
        if self.places is None or len(states) == 0:
            return self.padded(states)
        return states.index_select(0, self._sources)

    @cached_property
    def _sources(self) -> Tensor:
        """int64 [rows * tokens]: the index in [n] of each place's token, or of the last one before it."""
        assert self.places is not None
        counts = self.places.new_zeros(self.rows * self.tokens).index_fill_(0, self.places, 1)
        return counts.cumsum(0).sub_(1).clamp_(min=0)

    def flat(self, padded: Tensor) -> Tensor:
        """[rows * tokens, width] to [n, width]."""
        return padded if self.places is None else padded.index_select(0, self.places)


@dataclass(frozen=True)
class AttentionPlan:
    """What an attention block needs beside states and weights.

    Attributes:
        heads: How many.
        eps: Of the layer norm.
        first: Only the first token of each row is asked for.
        keep: Dropout's mask of the output [n or rows, width], or None.
    """

    layout: Layout
    attention: Attention
    heads: int
    eps: float
    first: bool
    keep: Tensor | None

    def split(self, padded: Tensor, *, parts: int) -> Tensor:
        """[rows * m, parts * width] to [parts, rows * heads, m, width / heads]."""
        rows, size = self.layout.rows, padded.shape[1] // parts // self.heads
        m = padded.shape[0] // rows
        return padded.view(rows, m, parts, self.heads, size).permute(2, 0, 3, 1, 4).reshape(parts, -1, m, size)

    def joined(self, parts: list[Tensor]) -> Tensor:
        """The other way round; each part [rows * heads, m, width / heads]."""
        rows, (_, m, size) = self.layout.rows, parts[0].shape
        out = parts[0].new_empty(rows, m, len(parts), self.heads, size)
        for i, part in enumerate(parts):
            out[:, :, i] = part.view(rows, self.heads, m, size).transpose(1, 2)
        return out.view(rows * m, -1)


class AttentionBlock(torch.autograd.Function):
    """``layer_norm(states + dropout(attention(states)))``.

    Arguments: states [n, width]; weight and bias of q, of k, of v, of the output, of the norm; a plan. Returns
    [n, width], or [rows, width] where only first tokens are asked for.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        wq, bq, wk, bk, wv, bv, wo, bo, gain, shift, plan = rest
        layout, width = plan.layout, x.shape[1]
        if plan.first:
            asked, joint = x.index_select(0, layout.starts), torch.cat([wk, wv])
            (q,) = plan.split(torch.addmm(bq, asked, wq.t()), parts=1)
            k, v = plan.split(layout.spread(torch.addmm(torch.cat([bk, bv]), x, joint.t())), parts=2)
        else:
            asked, joint = x, torch.cat([wq, wk, wv])
            q, k, v = plan.split(layout.spread(torch.addmm(torch.cat([bq, bk, bv]), x, joint.t())), parts=3)
        context, kept = plan.attention.forward(q, k, v)
        context = plan.joined([context])
        context = context if plan.first else layout.flat(context)
        summed = torch.addmm(bo, context, wo.t())
        if plan.keep is not None:
            summed.mul_(plan.keep)
        summed.add_(asked)
        out: Tensor
        out, mean, spread = aten.native_layer_norm(summed, [width], gain, shift, plan.eps)
        ctx.plan, ctx.kept = plan, kept
        ctx.save_for_backward(x, asked, wq, joint, wo, gain, shift, q, k, v, context, summed, mean, spread)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, asked, wq, joint, wo, gain, shift, q, k, v, context, summed, mean, spread = ctx.saved_tensors
        plan, layout, width = ctx.plan, ctx.plan.layout, x.shape[1]
        to_sum, to_gain, to_shift = aten.native_layer_norm_backward(
            gradients[0].contiguous(), summed, [width], mean, spread, gain, shift, NORM_PARTS
        )
        to_out = to_sum if plan.keep is None else to_sum * plan.keep
        asks = ctx.needs_input_grad
        to_wo, to_bo = _to_weight(to_out, context, asks[7]), to_out.sum(0)
        to_context = to_out @ wo
        (to_context,) = plan.split(to_context if plan.first else layout.padded(to_context), parts=1)
        to_q, to_k, to_v = plan.attention.backward(to_context, q, k, v, kept=ctx.kept)
        if plan.first:
            to_queries, to_joint = plan.joined([to_q]), layout.flat(plan.joined([to_k, to_v]))
            to_x = None
            if asks[0]:
                to_x = (to_joint @ joint).index_add_(0, layout.starts, torch.addmm(to_sum, to_queries, wq))
            parts = [(_to_weight(to_queries, asked, asks[1]), to_queries.sum(0)),
                     *_halves(_to_weight(to_joint, x, asks[3] or asks[5]), to_joint.sum(0), 2)]  # fmt: skip
        else:
            to_joint = layout.flat(plan.joined([to_q, to_k, to_v]))
            to_x = torch.addmm(to_sum, to_joint, joint) if asks[0] else None
            parts = _halves(_to_weight(to_joint, x, asks[1] or asks[3] or asks[5]), to_joint.sum(0), 3)
        return (to_x, *(g for pair in parts for g in pair), to_wo, to_bo, to_gain, to_shift, None)


def _to_weight(to_outputs: Tensor, inputs: Tensor, asked: bool) -> Tensor | None:
    """The gradient of a weight, a product as large as the forward one; None where nothing asks for it."""
    return to_outputs.t() @ inputs if asked else None


def _halves(weight: Tensor | None, bias: Tensor, count: int) -> list[tuple[Tensor | None, Tensor]]:
    weights = [None] * count if weight is None else weight.chunk(count)
    return list(zip(weights, bias.chunk(count), strict=True))


class FeedForwardBlock(torch.autograd.Function):
    """``layer_norm(states + dropout(W2 gelu(W1 states)))``.

    Arguments: states [n, width]; weight and bias of the inner layer, of the outer one, of the norm; the norm's eps;
    dropout's mask [n, width] or None. Returns [n, width].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        w1, b1, w2, b2, gain, shift, eps, keep = rest
        inner = torch.addmm(b1, x, w1.t())
        active = functional.gelu(inner)
        summed = torch.addmm(b2, active, w2.t())
        if keep is not None:
            summed.mul_(keep)
        summed.add_(x)
        out: Tensor
        out, mean, spread = aten.native_layer_norm(summed, [x.shape[1]], gain, shift, eps)
        ctx.keep = keep
        ctx.save_for_backward(x, w1, w2, gain, shift, inner, active, summed, mean, spread)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, w1, w2, gain, shift, inner, active, summed, mean, spread = ctx.saved_tensors
        to_sum, to_gain, to_shift = aten.native_layer_norm_backward(
            gradients[0].contiguous(), summed, [x.shape[1]], mean, spread, gain, shift, NORM_PARTS
        )
        to_out = to_sum if ctx.keep is None else to_sum * ctx.keep
        to_w2, to_b2 = _to_weight(to_out, active, ctx.needs_input_grad[3]), to_out.sum(0)
        to_inner = aten.gelu_backward(to_out @ w2, inner)
        to_w1, to_b1 = _to_weight(to_inner, x, ctx.needs_input_grad[1]), to_inner.sum(0)
        to_x = torch.addmm(to_sum, to_inner, w1) if ctx.needs_input_grad[0] else None
        return to_x, to_w1, to_b1, to_w2, to_b2, to_gain, to_shift, None, None

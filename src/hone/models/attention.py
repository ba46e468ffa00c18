"""Scaled dot-product attention (Vaswani et al. 2017) with dropout, forth and back, a cache's worth of it at a time.

Probabilities take ``tokens^2`` numbers a head; a pass over all of them at once runs at the speed of memory. So some
rows (or for long ones some heads) are done from scores to context before the next begin, each only as far as its
longest row reaches. Where all probabilities of a layer are few, they are kept for the way back; else they are made
again there, dropout's masks too, so that long texts take memory by their tokens alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.noise import Noise, Ticket

PART_BYTES = 1 << 22  # of the probabilities that are worked on together
KEPT_BYTES = 1 << 24  # of a layer's probabilities that are kept for the way back
HIDDEN = -1e9  # score of a padded position: its probability is exactly 0 in float32
SHORT = 64  # keys up to which products over all heads at once are sooner done than torch's kernel, a head at a time
FEW = 32  # keys below which torch's softmax, a row at a time, is slower than passes over all rows
LITTLE = 8192  # scores up to which it is sooner done with them all the same
LEAST = 1e-30  # a sum of exponentials that still has all its digits


class Span(NamedTuple):
    """Attention heads ``begin`` to ``end`` of rows * heads, whose rows have at most ``length`` tokens."""

    begin: int
    end: int
    length: int


def spans(lengths: Sequence[int], *, heads: int) -> tuple[Span, ...]:
    """Which heads of a batch are worked on together; ``lengths``: tokens of each row."""
    out: list[Span] = []
    at = 0
    while at < len(lengths):
        longest, end = lengths[at], at + 1
        while end < len(lengths):
            wider = max(longest, lengths[end])
            if (end + 1 - at) * heads * wider**2 * 4 > PART_BYTES:
                break
            longest, end = wider, end + 1
        step = heads * (end - at)
        if end == at + 1:
            step = min(heads, max(1, PART_BYTES // (longest**2 * 4)))
        first, last = at * heads, end * heads
        out += [Span(begin, min(begin + step, last), longest) for begin in range(first, last, step)]
        at = end
    return tuple(out)


@dataclass(frozen=True)
class Attention:
    """What attention needs beside queries, keys and values.

    Attributes:
        spans: See `spans`.
        bias: [rows * heads, 1, tokens], added to the scores: 0 for tokens, `HIDDEN` for padding; None: no padding.
        drop: Share of the probabilities that dropout drops.
        ticket: Of its masks; None: no dropout.
    """

    spans: tuple[Span, ...]
    bias: Tensor | None
    drop: float = 0.0
    ticket: Ticket | None = None

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, list[Tensor] | None]:
        """The context [rows * heads, queries, size] of q of that shape and k and v [rows * heads, tokens, size], and
        what `backward` is to be given. Beyond a row's tokens the context means nothing."""
        context = torch.empty_like(q)
        kept: list[Tensor] | None = [] if q.shape[0] * q.shape[1] * k.shape[1] * 4 <= KEPT_BYTES else None
        for i, span in enumerate(self.spans):
            mine, n = slice(span.begin, span.end), min(span.length, q.shape[1])
            chances = self._chances(q, k, span)
            if kept is not None:
                kept.append(chances)
            mask = self._mask(i, chances)
            context[mine, :n] = torch.bmm(chances if mask is None else chances * mask, v[mine, : span.length])
        return context, kept

    def backward(
        self, to_context: Tensor, q: Tensor, k: Tensor, v: Tensor, *, kept: list[Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of q, k and v from that of the context; beyond a row's tokens they mean nothing."""
        to_q, to_k, to_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        scale = q.shape[2] ** -0.5
        for i, span in enumerate(self.spans):
            mine, n = slice(span.begin, span.end), min(span.length, q.shape[1])
            asked, seen = (mine, slice(n)), (mine, slice(span.length))
            chances = self._chances(q, k, span) if kept is None else kept[i]
            mask = self._mask(i, chances)
            given = to_context[asked]
            to_chances = torch.bmm(given, v[seen].transpose(1, 2))
            if mask is not None:
                to_chances.mul_(mask)
            to_scores = torch.ops.aten._softmax_backward_data(to_chances, chances, -1, chances.dtype).mul_(scale)
            to_q[asked] = torch.bmm(to_scores, k[seen])
            to_k[seen] = torch.bmm(to_scores.transpose(1, 2), q[asked])
            to_v[seen] = torch.bmm((chances if mask is None else mask.mul_(chances)).transpose(1, 2), given)
        return to_q, to_k, to_v

    def _chances(self, q: Tensor, k: Tensor, span: Span) -> Tensor:
        """Probabilities [heads of the span, queries, length]."""
        mine, n = slice(span.begin, span.end), min(span.length, q.shape[1])
        queries, keys = q[mine, :n], k[mine, : span.length]
        return softened(_scores(queries, keys, None if self.bias is None else self.bias[mine, :, : span.length]))

    def _mask(self, part: int, chances: Tensor) -> Tensor | None:
        if self.ticket is None:
            return None
        return Noise.mask(self.ticket, tuple(chances.shape), drop=self.drop, part=part).to(chances.dtype)


def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """The context [rows, queries, heads * size] of q [rows, heads, queries, size] and of k and v [rows, heads, tokens,
    size], without derivatives; ``bias`` [rows, 1, tokens] is added to the scores."""
    rows, heads, queries, size = q.shape
    tokens = k.shape[2]
    if tokens > SHORT:
        mask = None if bias is None else bias.unsqueeze(1)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
    q, k, v = (part.reshape(rows * heads, -1, size) for part in (q, k, v))
    spread = None if bias is None else bias.expand(rows, heads, tokens).reshape(rows * heads, 1, tokens)
    context = torch.bmm(softened(_scores(q, k, spread)), v)
    return context.view(rows, heads, queries, size).transpose(1, 2).reshape(rows, queries, -1)


def softened(scores: Tensor) -> Tensor:
    """Softmax over the last dimension of [heads, queries, keys].

    Over few keys by passes over all rows of a head, from its largest score down in place of each row's own; where that
    leaves nothing of a row, each by its own after all.
    """
    if scores.shape[-1] >= FEW or scores.numel() <= LITTLE:
        return torch.softmax(scores, dim=-1)
    powers = (scores - scores.flatten(1).amax(1)[:, None, None]).exp_()
    sums = powers.sum(-1, keepdim=True)
    return torch.softmax(scores, dim=-1) if float(sums.amin()) < LEAST else powers.div_(sums)


def _scores(q: Tensor, k: Tensor, bias: Tensor | None) -> Tensor:
    """[heads, queries, keys] of q [heads, queries, size], k [heads, keys, size] and what is added."""
    added = q.new_zeros(1, 1, 1) if bias is None else bias
    return torch.baddbmm(added, q, k.transpose(1, 2), beta=0 if bias is None else 1, alpha=q.shape[2] ** -0.5)

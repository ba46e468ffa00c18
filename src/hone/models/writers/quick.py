"""A writer of our own: few operations a token, on a CPU in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.writers.memory import GROWN, Memory, Source
from hone.models.writers.net import Net, Parts
from hone.models.writers.writer import Past

SMALL, MANY = 400, 64  # torch multiplies many matrices of so few products one by one, and not as one batch


class QuickWriter:
    """Writes by the parts of a model: continues prompts, or reads sources first where there is an encoder.

    Args:
        start: Token that texts begin with, where there is an encoder.
        before_source: Embeddings that stand before every source there, float32 [tokens, width].
    """

    before = 0
    pads = True
    joins = True

    def __init__(
        self, parts: Parts, *, start: int | None, most_tokens: int | None, before_source: Tensor | None = None
    ) -> None:
        self._net, self._head, self._encoder = parts
        self._before_source = before_source
        self.start = start
        self.most_tokens = self.most_prompt_tokens = most_tokens
        if most_tokens is not None and before_source is not None:
            self.most_prompt_tokens = most_tokens - len(before_source)
        self.vocabulary = self._head.vocabulary
        self._distances = torch.zeros(0)

    @torch.inference_mode()
    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[Memory, Tensor]:
        if self._encoder is None:
            return self._continue(input_ids, attention_mask, hidden=hidden)
        net, rows = self._net, len(input_ids)
        flat, padding = encoded(self._encoder, input_ids, attention_mask, before=self._before_source)
        tokens = padding.real.shape[1]
        kept = flat.new_zeros((len(net.layers), 2, rows, net.heads, tokens, net.size))
        for layer, own in zip(net.layers, kept, strict=True):
            assert layer.cross is not None  # of every layer, where there is an encoder
            pairs = padding.spread(layer.cross.kv(flat)).view(rows, tokens, 2, net.heads, net.size)
            own.copy_(pairs.permute(2, 0, 3, 1, 4))
        room = flat.new_zeros((len(net.layers), 2, rows, net.kept, GROWN, net.size))
        state = Memory(room, torch.zeros(rows, dtype=torch.long), source=Source(kept, padding.real), hidden=None)
        state.shows = hidden
        return state, self._read(state, torch.full_like(input_ids[:, 0], self.start or 0))

    @torch.inference_mode()
    def step(self, state: Memory, tokens: Tensor) -> Tensor:
        return self._read(state, tokens)

    @torch.inference_mode()
    def begin_after(
        self, past: Past, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False
    ) -> tuple[Memory, Tensor]:
        return self._continue(input_ids, attention_mask, hidden=hidden, past=past)

    def past_of(self, state: Memory, *, tokens: int) -> Past:
        return tuple((keys[0, :, :tokens], values[0, :, :tokens]) for keys, values in state.rows())

    def _read(self, state: Memory, tokens: Tensor) -> Tensor:
        """The next scores of each row after one more token."""
        net, rows = self._net, len(tokens)
        heads, kept, size, source = net.heads, net.kept, net.size, state.source
        state.reserve()
        bias = self._bias(state)

        def own(layer: int, qkv: Tensor) -> Tensor:
            parts = _turned(net, qkv, state.places)
            keys, values = state.keep(layer, parts[:, heads:].view(rows, 2, kept, size))
            queries = parts[:, :heads].reshape(rows * kept, net.shared, size)
            return _attend(queries, keys, values, bias).view(rows, -1)

        def other(layer: int, q: Tensor) -> Tensor:
            assert source is not None
            each = source.each
            if each == 1:
                q = q.view(rows * heads, 1, size)
                return _attend(q, source.keys[layer], source.values[layer], source.bias).view(rows, -1)
            q = q.view(-1, each, heads, size).transpose(1, 2).reshape(-1, each, size)
            context = _attend(q, source.keys[layer], source.values[layer], source.bias)
            return context.view(-1, heads, each, size).transpose(1, 2).reshape(rows, -1)

        x = net.run(net.embed(tokens, state.used if state.even else state.places), own=own, source=other)
        state.advance()
        state.hidden = x[:, None] if state.shows else None
        return self._head(x)

    def _bias(self, state: Memory) -> Tensor | None:
        """What attention adds in this step, float32 [rows x kept heads, 1, places], where it adds anything."""
        heads, count = self._net.kept, state.used + 1
        bias: Tensor | None = None
        if self._net.distances is not None:
            bias = self._of_distances(state)  # [rows or 1, heads, places]
        if not state.even:
            unseen = torch.zeros((len(state), 1, count)).masked_fill_(~state.seen()[:, None], float("-inf"))
            bias = unseen if bias is None else bias + unseen
        return None if bias is None else bias.expand(len(state), heads, count).reshape(-1, 1, count)

    def _of_distances(self, state: Memory) -> Tensor:
        """What attention adds for how far places are apart, float32 [rows or 1, heads, places]."""
        assert self._net.distances is not None
        count, table = state.used + 1, self._distances
        if table.shape[-1] < count:  # kept for later steps; another thread may replace it meanwhile
            table = self._distances = self._net.distances(2 * count + GROWN)
        last = table.shape[1] - 1  # the place that looks, in the table
        if state.even:
            return table[None, :, last - state.used :]
        at = last - state.places[:, None] + torch.arange(count)
        return table[:, at.clamp(max=last)].transpose(0, 1)

    def _continue(self, input_ids: Tensor, mask: Tensor, *, hidden: bool, past: Past = ()) -> tuple[Memory, Tensor]:
        """Read prompts of many tokens after those of ``past``. Padding stands after a row's tokens, which do not look
        ahead."""
        net, (rows, tokens) = self._net, input_ids.shape
        before = past[0][0].shape[1] if past else 0
        kept = torch.zeros((len(net.layers), 2, rows, net.kept, before + tokens + GROWN, net.size))
        for layer, pair in zip(kept, past, strict=False):
            for part, one in zip(layer, pair, strict=True):
                part[:, :, :before] = one
        padding = Padding(mask)
        ahead = torch.ones((tokens, before + tokens), dtype=torch.bool).tril(before) if past else None
        places = padding.places + before

        def own(layer: int, qkv: Tensor) -> Tensor:
            parts = (
                padding.spread(_turned(net, qkv, places).flatten(1)).view(rows, tokens, -1, net.size).transpose(1, 2)
            )
            q, pairs = (
                parts[:, : net.heads],
                parts[:, net.heads :].view(rows, 2, net.kept, tokens, net.size).transpose(0, 1),
            )
            kept[layer, ..., before : before + tokens, :] = pairs
            k, v = (kept[layer, ..., : before + tokens, :] if past else pairs).unbind()
            context = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=ahead, is_causal=ahead is None, scale=1.0, enable_gqa=net.shared > 1
            )
            return padding.flat(context.transpose(1, 2).flatten(2))

        x = net.run(net.embed(padding.flat(input_ids), places), own=own, source=_nothing)
        lengths = mask.sum(dim=1)
        state = Memory(kept, lengths + before, source=None, hidden=padding.spread(x) if hidden else None)
        return state, self._head(x[lengths.cumsum(dim=0) - 1])


class Padding:
    """Where rows that are padded on the right have tokens; all but attention is computed of these alone.

    Args:
        mask: int64 [rows, tokens].

    Attributes:
        real: bool [rows, tokens].
        places: int64 [tokens that are real], where each stands in its row.
    """

    def __init__(self, mask: Tensor) -> None:
        self.real = mask.bool()
        self._every = bool(self.real.all())
        self.places = self.flat(torch.arange(mask.shape[1]).expand(mask.shape))

    def flat(self, whole: Tensor) -> Tensor:
        """The real tokens of ``whole`` [rows, tokens, ...], [tokens that are real, ...]."""
        return whole.flatten(0, 1) if self._every else whole[self.real]

    def spread(self, flat: Tensor) -> Tensor:
        """``flat`` [tokens that are real, n] as [rows, tokens, n], zeros elsewhere."""
        if self._every:
            return flat.view(*self.real.shape, -1)
        whole = flat.new_zeros((*self.real.shape, flat.shape[1]))
        whole[self.real] = flat
        return whole

    def bias(self) -> Tensor | None:
        """What attention adds for padding, float32 [rows, 1, 1, tokens]; None where there is none."""
        unseen = ~self.real[:, None, None]
        return None if self._every else torch.zeros(unseen.shape).masked_fill_(unseen, float("-inf"))


def encoded(net: Net, input_ids: Tensor, mask: Tensor, *, before: Tensor | None = None) -> tuple[Tensor, Padding]:
    """Last states of an encoder, float32 [tokens that are real, width], of rows [rows, tokens], and where they are.

    Args:
        before: Embeddings before those of every row, float32 [more tokens, width], which get states, too.
    """
    padding = Padding(mask)
    x = net.vectors(padding.flat(input_ids))
    if before is not None:
        wide = torch.cat([before.expand(len(mask), -1, -1), padding.spread(x)], dim=1)
        padding = Padding(torch.cat([mask.new_ones(len(mask), len(before)), mask], dim=1))
        x = padding.flat(wide)
    rows, tokens = padding.real.shape
    bias = padding.bias()
    if net.distances is not None:
        near = net.distances(tokens)[None]  # [1, heads, tokens, tokens]
        bias = near if bias is None else near + bias

    def own(layer: int, qkv: Tensor) -> Tensor:
        parts = padding.spread(qkv).view(rows, tokens, 3, net.heads, net.size)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind()
        context = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return padding.flat(context.transpose(1, 2).flatten(2))

    return net.run(net.placed(x, padding.places), own=own, source=_nothing), padding


def _turned(net: Net, qkv: Tensor, places: Tensor) -> Tensor:
    """Queries, keys and values [rows, heads + 2 kept heads, size], side by side in ``qkv``, which may be changed; the
    former two turned where they are, by the places [rows] of the rows."""
    parts = qkv.view(len(qkv), -1, net.size)
    if net.turns is not None:
        net.turns.turn(parts[:, : net.heads + net.kept], places)
    return parts


def _attend(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Context [groups, queries, size] of queries shaped so, over keys and values [groups, places, size]."""
    if q.shape[1] == 1 and len(q) >= MANY and keys.shape[1] * keys.shape[2] < SMALL:
        scores = (keys * q).sum(dim=-1)
        scores = scores if bias is None else scores.add_(bias[:, 0])
        return (values * scores.softmax(dim=-1)[..., None]).sum(dim=1, keepdim=True)
    turned = keys.transpose(1, 2)
    scores = torch.bmm(q, turned) if bias is None else torch.baddbmm(bias, q, turned)
    return torch.bmm(scores.softmax(dim=-1), values)


def _nothing(layer: int, q: Tensor) -> Tensor:
    raise AssertionError("there is no source")

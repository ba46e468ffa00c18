"""A writer of our own: few operations a token, on a CPU in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.writers.memory import GROWN, Memory, Source
from hone.models.writers.net import Net, Parts


class QuickWriter:
    """Writes by the parts of a model: continues prompts, or reads sources first where there is an encoder.

    Args:
        start: Token that texts begin with, where there is an encoder.
    """

    pads = True
    joins = True

    def __init__(self, parts: Parts, *, start: int | None, most_tokens: int | None) -> None:
        self._net, self._head, self._encoder = parts
        self.start = start
        self.most_tokens = self.most_prompt_tokens = most_tokens
        self.vocabulary = self._head.vocabulary
        self._distances = torch.zeros(0)

    @torch.inference_mode()
    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[Memory, Tensor]:
        if self._encoder is None:
            return self._continue(input_ids, attention_mask, hidden=hidden)
        net, (rows, tokens) = self._net, input_ids.shape
        real = attention_mask.bool()
        flat = encoded(self._encoder, input_ids, real)
        kept = flat.new_zeros((len(net.layers), 2, rows, net.heads, tokens, net.size))
        for layer, own in zip(net.layers, kept, strict=True):
            assert layer.cross is not None  # of every layer, where there is an encoder
            pairs = spread(layer.cross.kv(flat), real).view(rows, tokens, 2, net.heads, net.size)
            own.copy_(pairs.permute(2, 0, 3, 1, 4))
        room = flat.new_zeros((len(net.layers), 2, rows, net.heads, GROWN, net.size))
        state = Memory(room, torch.zeros(rows, dtype=torch.long), source=Source(kept, real), hidden=None)
        state.shows = hidden
        return state, self._read(state, torch.full_like(input_ids[:, 0], self.start or 0))

    @torch.inference_mode()
    def step(self, state: Memory, tokens: Tensor) -> Tensor:
        return self._read(state, tokens)

    def _read(self, state: Memory, tokens: Tensor) -> Tensor:
        """The next scores of each row after one more token."""
        net, rows = self._net, len(tokens)
        heads, size, source = net.heads, net.size, state.source
        state.reserve()
        bias = self._bias(state)

        def own(layer: int, qkv: Tensor) -> Tensor:
            parts = qkv.view(rows, 3, heads, size)
            keys, values = state.keep(layer, parts[:, 1:])
            return _attend(parts[:, 0].reshape(rows * heads, 1, size), keys, values, bias).view(rows, -1)

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
        """What attention adds in this step, float32 [rows x heads, 1, places], where it adds anything."""
        heads, count = self._net.heads, state.used + 1
        bias: Tensor | None = None
        if self._net.distances is not None:
            bias = self._of_distances(state)  # [rows or 1, heads, places]
        if not state.even:
            unseen = torch.zeros((len(state), 1, count)).masked_fill_(~state.seen()[:, None], float("-inf"))
            bias = unseen if bias is None else bias + unseen
        return None if bias is None else bias.expand(len(state), heads, count).reshape(-1, 1, count)

    def _of_distances(self, state: Memory) -> Tensor:
        assert self._net.distances is not None
        count = state.used + 1
        if self._distances.shape[-1] < count:
            self._distances = self._net.distances(2 * count + GROWN)
        last = self._distances.shape[1] - 1  # the place that looks, in the table
        if state.even:
            return self._distances[None, :, last - state.used :]
        at = last - state.places[:, None] + torch.arange(count)
        return self._distances[:, at.clamp(max=last)].transpose(0, 1)

    def _continue(self, input_ids: Tensor, mask: Tensor, *, hidden: bool) -> tuple[Memory, Tensor]:
        """Read prompts of many tokens. Padding stands after a row's tokens, which do not look ahead."""
        net, (rows, tokens) = self._net, input_ids.shape
        heads, size = net.heads, net.size
        kept = torch.zeros((len(net.layers), 2, rows, heads, tokens + GROWN, size))

        def own(layer: int, qkv: Tensor) -> Tensor:
            parts = qkv.view(rows, tokens, 3, heads, size).permute(2, 0, 3, 1, 4)  # [3, rows, heads, tokens, size]
            kept[layer, ..., :tokens, :] = parts[1:]
            q, k, v = parts.unbind()
            context = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
            return context.transpose(1, 2).reshape(rows * tokens, -1)

        places = torch.arange(tokens).repeat(rows)
        x = net.run(net.embed(input_ids.flatten(), places), own=own, source=_nothing).view(rows, tokens, -1)
        lengths = mask.sum(dim=1)
        state = Memory(kept, lengths, source=None, hidden=x if hidden else None)
        return state, self._head(x[torch.arange(rows), lengths - 1])


def encoded(net: Net, input_ids: Tensor, real: Tensor) -> Tensor:
    """Last states of an encoder, float32 [tokens that are real, width], of rows [rows, tokens]; padding is computed in
    attention alone."""
    rows, tokens = input_ids.shape
    every = bool(real.all())
    bias = None if every else torch.zeros((rows, 1, 1, tokens)).masked_fill_(~real[:, None, None], float("-inf"))
    if net.distances is not None:
        near = net.distances(tokens)[None]  # [1, heads, tokens, tokens]
        bias = near if bias is None else near + bias

    def own(layer: int, qkv: Tensor) -> Tensor:
        parts = spread(qkv, real).view(rows, tokens, 3, net.heads, net.size)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind()
        context = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0).transpose(1, 2).flatten(2)
        return context.flatten(0, 1) if every else context[real]

    places = torch.arange(tokens).expand(rows, -1)[real]
    return net.run(net.embed(input_ids[real], places), own=own, source=_nothing)


def spread(flat: Tensor, real: Tensor) -> Tensor:
    """``flat`` [tokens that are real, n] as [rows, tokens, n] with zeros elsewhere."""
    whole = flat.new_zeros((*real.shape, flat.shape[1]))
    whole[real] = flat
    return whole


def _attend(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Context [groups, queries, size] of queries shaped so, over keys and values [groups, places, size]."""
    turned = keys.transpose(1, 2)
    scores = torch.bmm(q, turned) if bias is None else torch.baddbmm(bias, q, turned)
    return torch.bmm(scores.softmax(dim=-1), values)


def _nothing(layer: int, q: Tensor) -> Tensor:
    raise AssertionError("there is no source")

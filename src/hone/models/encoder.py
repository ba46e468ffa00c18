"""The encoder of BERT and its kin over transformers' own parameters: the same states, sooner."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from hone.models.attention import HIDDEN, Attention, attended, spans
from hone.models.blocks import AttentionBlock, AttentionPlan, FeedForwardBlock, Layout
from hone.models.body import body_of
from hone.models.grouped import GroupedLinear
from hone.models.int8 import Int8Linear
from hone.models.noise import Dropout, Noise
from hone.models.packed import KernelName, Packing, computed_in, kernel_for
from hone.models.recomputed import recomputed
from hone.models.shapes import FactoredLinear

FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})

aten = torch.ops.aten

Reads = Literal["tokens", "first"]


class Encoder(nn.Module):
    """Stands in for the encoder of a transformers model, its layers under the same names.

    On a CPU in float32 it goes its own way (`hone.models.blocks`), and on a GPU that has a kernel for it, it packs rows
    without padding (`hone.models.packed`); anywhere else it lets transformers' encoder run.

    Args:
        original: transformers' encoder.
        config: The model's configuration.
        noise: Draws dropout's masks.
        reads: ``first`` where nothing but the first token's state is used: the last layer then makes that alone.
    """

    layer: nn.ModuleList

    def __init__(self, original: Any, config: Any, *, noise: Noise, reads: Reads) -> None:
        super().__init__()
        self.layer = original.layer
        self._original = (original,)  # in a tuple: its parameters are registered above, and not twice
        self._size: int = config.hidden_size // config.num_attention_heads
        self._drop, self._drop_chances = float(config.hidden_dropout_prob), float(config.attention_probs_dropout_prob)
        self._noise, self._reads = noise, reads
        self._joints: dict[int, Callable[[Tensor], Tensor]] = {}
        self.fixed = False  # whether no weight changes any more, so that what is made of them can be kept
        self.lean = False  # whether nothing is made of weights at all, so that other models can share them
        self.frozen = 0  # layers
        self.given: Tensor | None = None  # states after the frozen layers, in place of making them
        self.kernel: KernelName | None = None  # of packed rows, whatever the device; None: the one that fits, if any
        self.modular = False  # whether a layer has parts that are more than one weight: such learn module by module
        self._aside = False
        self.collected: list[Tensor] | None = None  # see `collect`
        self.recomputes = False  # whether layers keep nothing for the way back, and are computed again there
        self.train(original.training)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Any:
        """As transformers calls it."""
        if not self.takes(hidden_states):
            with self._watched(hidden_states, attention_mask):
                return self._original[0](hidden_states, attention_mask=attention_mask, **options)
        states = self._run(hidden_states, _layout(hidden_states, _real(attention_mask)))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)

    def takes(self, states: Tensor) -> bool:
        """Whether it goes its own way with states of this device and type."""
        learns = torch.is_grad_enabled() or self.training
        if self._aside or (self.modular and (learns or states.device.type != "cpu")):
            return False
        plain = states.device.type == "cpu" and states.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return plain or self._kernel(states) is not None

    def _kernel(self, states: Tensor) -> KernelName | None:
        return self.kernel or kernel_for(states.device, computed_in(states), size=self._size)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within it transformers' encoder runs, module by module: hooks on its parts are called."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def states(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """Last states [rows, tokens, width], zeros where padded, or [rows, 1, width], of embeddings that it `takes`
        under a mask int64 [rows, tokens]: without the way through transformers."""
        return self._run(hidden_states, _layout(hidden_states, attention_mask.bool()))

    def _run(self, hidden_states: Tensor, layout: Layout) -> Tensor:
        learns = torch.is_grad_enabled() or self.training
        attentions: dict[int, Attention] = {}  # by heads: those of the layers may differ
        packing = self._packing(hidden_states, layout)
        states = self._lower(hidden_states, layout, packing) if self.given is None else self.given
        if self.collected is not None:
            self.collected = [states]
        for i, layer in enumerate(self.layer[self.frozen :], start=self.frozen):
            first = self._first(i)
            if packing is not None:
                run = partial(packing.states, layer, joint=self._joint, size=self._size, first=first)
                again = self.recomputes and torch.is_grad_enabled()
                states = checkpoint(run, states, use_reentrant=False) if again else run(states)
            elif learns:
                heads = self.heads(layer)
                if heads not in attentions:
                    attentions[heads] = self._attention(layout, heads)
                learn = partial(
                    self._learn, layer, layout=layout, attention=attentions[heads], heads=heads, first=first
                )
                again = self.recomputes and torch.is_grad_enabled()
                states = recomputed(learn, states, layer, noise=self._noise) if again else learn(states)
            else:
                states = self._answer(layer, states, layout=layout, first=first)
            if self.collected is not None:
                self.collected.append(states)
        if self._reads == "tokens":
            states = layout.padded(states)
        elif self.frozen == len(self.layer):
            states = states.index_select(0, layout.starts)
        return states.view(layout.rows, -1, states.shape[1])

    def train(self, mode: bool = True) -> Encoder:
        super().train(mode)
        for layer in self.layer[: self.frozen]:
            layer.eval()
        return self

    def freeze(self, layers: int) -> None:
        """Let the first ``layers`` layers learn nothing; they then run without dropout."""
        self.frozen = layers
        self.train(self.training)
        for layer in self.layer[:layers]:
            layer.requires_grad_(False)

    def keep(self, layers: Sequence[int]) -> None:
        """Go on with these layers alone, in this order."""
        self._set(nn.ModuleList(self.layer[i] for i in layers))

    @contextmanager
    def without(self, layer: int) -> Iterator[None]:
        """Within it that layer is skipped."""
        before = self.layer
        self.keep([i for i in range(len(before)) if i != layer])
        try:
            yield
        finally:
            self._set(before)

    def _apply(self, fn: Any, recurse: bool = True) -> Encoder:
        self._joints.clear()  # they would stay on the device, and in the type, that the layers leave
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def renewed(self) -> None:
        """Forget what was made of the layers: parts of them were replaced."""
        self._joints.clear()

    def _set(self, layers: nn.ModuleList) -> None:
        self.layer = self._original[0].layer = layers
        self._joints.clear()

    def heads(self, layer: Any) -> int:
        """Attention heads of one of the layers."""
        count: int = layer.attention.self.query.out_features // self._size
        return count

    @property
    def head_size(self) -> int:
        """Width of a head."""
        return self._size

    def collect(self) -> None:
        """Leave the states of each forward pass from now on in ``collected``, with their derivatives: those before the
        first layer that learns and those after each one, flat [n, width], or [rows, width] after a last layer that
        makes the first token of each row alone."""
        self.collected = []

    @contextmanager
    def _watched(self, hidden_states: Tensor, mask: Tensor | None) -> Iterator[None]:
        """Within it transformers' layers leave their states in ``collected`` too, if that is asked for."""
        if self.collected is None:
            yield
            return
        real = _real(mask)
        chosen = ... if real is None else real.expand(hidden_states.shape[:2]).flatten()
        kept = self.collected = [hidden_states.flatten(0, 1)[chosen]]

        def keep(first: bool, _: Any, __: Any, states: Tensor) -> None:
            kept.append(states[:, 0] if first else states.flatten(0, 1)[chosen])

        hooks = [layer.register_forward_hook(partial(keep, self._first(i))) for i, layer in enumerate(self.layer)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def lower(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        """States after the frozen layers, flat [n, width], of embeddings [rows, tokens, width] under a mask int64
        [rows, tokens]; what ``given`` takes."""
        with torch.no_grad():
            layout = _layout(hidden_states, attention_mask.bool())
            return self._lower(hidden_states, layout, self._packing(hidden_states, layout))

    def _lower(self, hidden_states: Tensor, layout: Layout, packing: Packing | None) -> Tensor:
        states = layout.flat(hidden_states.flatten(0, 1))
        if self.frozen:
            with torch.no_grad():
                for layer in self.layer[: self.frozen]:
                    if packing is None:
                        states = self._answer(layer, states, layout=layout, first=False)
                    else:
                        states = packing.states(layer, states, joint=self._joint, size=self._size, first=False)
        return states

    def _packing(self, hidden_states: Tensor, layout: Layout) -> Packing | None:
        kernel = self._kernel(hidden_states)
        return None if kernel is None else Packing.of(layout, kernel)

    def _first(self, i: int) -> bool:
        return self._reads == "first" and i == len(self.layer) - 1

    def _attention(self, layout: Layout, heads: int) -> Attention:
        bias = None if layout.bias is None else layout.bias.repeat_interleave(heads, dim=0)
        return Attention(spans(layout.lengths, heads=heads), bias, drop=self._drop_chances)

    def _learn(
        self, layer: Any, states: Tensor, *, layout: Layout, attention: Attention, heads: int, first: bool
    ) -> Tensor:
        size = (layout.rows if first else len(states), states.shape[1])
        own, out, inner, outer = layer.attention.self, layer.attention.output, layer.intermediate, layer.output
        if self.training and self._drop_chances:
            attention = replace(attention, ticket=self._noise.ticket())
        plan = AttentionPlan(
            layout=layout,
            attention=attention,
            heads=heads,
            eps=out.LayerNorm.eps,
            first=first,
            keep=self._mask(size),
        )
        middle: Tensor = AttentionBlock.apply(  # type: ignore[no-untyped-call]
            states, own.query.weight, own.query.bias, own.key.weight, own.key.bias, own.value.weight, own.value.bias,
            out.dense.weight, out.dense.bias, out.LayerNorm.weight, out.LayerNorm.bias, plan,
        )  # fmt: skip
        done: Tensor = FeedForwardBlock.apply(  # type: ignore[no-untyped-call]
            middle, inner.dense.weight, inner.dense.bias, outer.dense.weight, outer.dense.bias,
            outer.LayerNorm.weight, outer.LayerNorm.bias, outer.LayerNorm.eps, self._mask(size),
        )  # fmt: skip
        return done

    def _answer(self, layer: Any, states: Tensor, *, layout: Layout, first: bool) -> Tensor:
        """One layer without derivatives, which keeps nothing."""
        out, inner, outer = layer.attention.output, layer.intermediate, layer.output
        asked = states.index_select(0, layout.starts) if first else states
        q, k, v = self._projected(layer.attention.self, asked, states, layout=layout, first=first)
        seen = attended(q, k, v, layout.bias).flatten(0, 1)
        middle = out.LayerNorm(out.dense(seen if first else layout.flat(seen)).add_(asked))
        if isinstance(inner.dense, Int8Linear) and isinstance(outer.dense, Int8Linear):
            fed = outer.dense.after_gelu(inner.dense, middle)
        else:
            fed = outer.dense(aten.gelu_(inner.dense(middle)))
        done: Tensor = outer.LayerNorm(fed.add_(middle))
        return done

    def _projected(
        self, own: Any, asked: Tensor, states: Tensor, *, layout: Layout, first: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``q``, ``k`` and ``v``, each [rows, heads, asked or tokens, size]."""
        if first:
            parts = [own.query(asked).unsqueeze(1)]
            joint = self._joint((own.key, own.value))
        else:
            parts = []
            joint = self._joint((own.query, own.key, own.value))
        count = 3 - len(parts)
        rest = layout.spread(joint(states)).view(layout.rows, layout.tokens, count, -1)
        q, k, v = (part.unflatten(2, (-1, self._size)).transpose(1, 2) for part in (*parts, *rest.unbind(2)))
        return q, k, v

    def _joint(self, layers: Sequence[Any]) -> Callable[[Tensor], Tensor]:
        """``layers`` as one layer, their outputs side by side."""
        if self.lean:
            return lambda states: torch.cat([layer(states) for layer in layers], dim=-1)
        made = self._joints.get(id(layers[0]))
        if made is None:
            made = joined(layers)
            if self.fixed:
                self._joints[id(layers[0])] = made
        return made

    def _mask(self, shape: tuple[int, int]) -> Tensor | None:
        """Dropout's mask of hidden states."""
        return Noise.mask(self._noise.ticket(), shape, drop=self._drop) if self.training and self._drop else None


def joined(layers: Sequence[Any]) -> Callable[[Tensor], Tensor]:
    """Linear layers over one input as one, their outputs side by side."""
    if any(isinstance(layer, FactoredLinear) for layer in layers):
        return _joined_factors(layers)
    if isinstance(layers[0], Int8Linear | GroupedLinear):
        return type(layers[0]).joined(layers)
    weight = torch.cat([layer.weight for layer in layers])
    biases = [layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias for layer in layers]
    return partial(functional.linear, weight=weight, bias=torch.cat(biases))


def _joined_factors(layers: Sequence[Any]) -> Callable[[Tensor], Tensor]:
    """The same where some are factored: one product for all first factors, and for the layers that are whole."""
    seconds = [layer.second if isinstance(layer, FactoredLinear) else None for layer in layers]
    firsts = [layer if second is None else layer.first for layer, second in zip(layers, seconds, strict=True)]
    ends = list(itertools.accumulate(first.out_features for first in firsts))[:-1]
    first = joined(firsts)

    def product(states: Tensor) -> Tensor:
        parts = torch.tensor_split(first(states), ends, dim=-1)
        return torch.cat(
            [part if second is None else second(part) for part, second in zip(parts, seconds, strict=True)], dim=-1
        )

    return product


def _real(mask: Tensor | None) -> Tensor | None:
    """Which positions are tokens, bool [rows or 1, tokens], by transformers' mask, bool or float
    [rows or 1, 1, queries, tokens], alike for every query; None: all."""
    if mask is None:
        return None
    seen = mask[:, 0, 0]
    return seen if seen.dtype == torch.bool else seen > HIDDEN


def _layout(hidden_states: Tensor, real: Tensor | None) -> Layout:
    """Where tokens lie in a padded batch [rows, tokens, width]; ``real``: bool [rows or 1, tokens], or None where
    nothing is padded."""
    (rows, tokens, _), device = hidden_states.shape, hidden_states.device
    if real is None or bool(real.all()):
        starts = torch.arange(0, rows * tokens, tokens, device=device)
        return Layout(rows, tokens, None, starts, (tokens,) * rows, None)
    real = real.expand(rows, tokens)
    places = real.flatten().nonzero().squeeze(1)
    counts = real.sum(1)
    ends = (real * torch.arange(1, tokens + 1, device=device)).amax(1)
    bias = torch.zeros(rows, 1, tokens, device=device).masked_fill_(~real[:, None], HIDDEN)
    return Layout(rows, tokens, places, counts.cumsum(0) - counts, tuple(ends.tolist()), bias)


def slacken(backbone: Any) -> None:
    """Undo `quicken`."""
    body = body_of(backbone)
    if isinstance(getattr(body, "encoder", None), Encoder):
        body.encoder = body.encoder._original[0]


def quicken(backbone: Any, *, reads: Reads, noise: Noise) -> Encoder | None:
    """Give a transformers model of the `FAMILIES` the encoder above and return it; leave another as it is."""
    body = body_of(backbone)
    config = backbone.config
    if config.model_type not in FAMILIES or config.hidden_act != "gelu" or config.is_decoder:
        return None
    encoder = body.encoder = Encoder(body.encoder, config, noise=noise, reads=reads)
    body.embeddings.dropout = Dropout(float(config.hidden_dropout_prob), noise).train(body.training)
    return encoder

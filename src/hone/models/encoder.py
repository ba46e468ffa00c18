"""The encoder of BERT and its kin on a CPU, over transformers' own parameters: the same states, sooner."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from hone.models.blocks import AttentionBlock, AttentionPlan, FeedForwardBlock, Layout
from hone.models.noise import Dropout, Noise

FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})
HIDDEN = -1e9  # score of a padded position: its probability is exactly 0 in float32

Reads = Literal["tokens", "first"]


class Encoder(nn.Module):
    """Stands in for the encoder of a transformers model, its layers under the same names.

    On a CPU in float32 it goes its own way (`hone.models.blocks`); anywhere else it lets transformers' encoder run.

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
        self._heads: int = config.num_attention_heads
        self._drop, self._drop_chances = float(config.hidden_dropout_prob), float(config.attention_probs_dropout_prob)
        self._noise, self._reads = noise, reads
        self.train(original.training)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Any:
        plain = hidden_states.device.type == "cpu" and hidden_states.dtype == torch.float32
        if not plain or torch.is_autocast_enabled("cpu"):
            return self._original[0](hidden_states, attention_mask=attention_mask, **options)
        layout = _layout(hidden_states, attention_mask)
        bias = None if layout.bias is None else layout.bias.repeat_interleave(self._heads, dim=0)
        states = layout.flat(hidden_states.flatten(0, 1))
        for i, layer in enumerate(self.layer):
            first = self._reads == "first" and i == len(self.layer) - 1
            states = self._layer(layer, states, layout=layout, bias=bias, first=first)
        if self._reads == "tokens":
            states = layout.padded(states)
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=states.view(layout.rows, -1, states.shape[1])
        )

    def _layer(self, layer: Any, states: Tensor, *, layout: Layout, bias: Tensor | None, first: bool) -> Tensor:
        asked = 1 if first else layout.tokens
        size = (layout.rows if first else len(states), states.shape[1])
        own, out, inner, outer = layer.attention.self, layer.attention.output, layer.intermediate, layer.output
        plan = AttentionPlan(
            layout=layout, heads=self._heads, eps=out.LayerNorm.eps, bias=bias, first=first,
            keep=self._mask((layout.rows * self._heads, asked, layout.tokens), drop=self._drop_chances),
            keep_out=self._mask(size, drop=self._drop),
        )  # fmt: skip
        middle: Tensor = AttentionBlock.apply(  # type: ignore[no-untyped-call]
            states, own.query.weight, own.query.bias, own.key.weight, own.key.bias, own.value.weight, own.value.bias,
            out.dense.weight, out.dense.bias, out.LayerNorm.weight, out.LayerNorm.bias, plan,
        )  # fmt: skip
        done: Tensor = FeedForwardBlock.apply(  # type: ignore[no-untyped-call]
            middle, inner.dense.weight, inner.dense.bias, outer.dense.weight, outer.dense.bias,
            outer.LayerNorm.weight, outer.LayerNorm.bias, outer.LayerNorm.eps, self._mask(size, drop=self._drop),
        )  # fmt: skip
        return done

    def _mask(self, shape: tuple[int, ...], *, drop: float) -> Tensor | None:
        return self._noise.mask(shape, drop=drop) if self.training and drop else None


def _layout(states: Tensor, mask: Tensor | None) -> Layout:
    """Where tokens lie in states [rows, tokens, width] under transformers' mask, bool or float
    [rows or 1, 1, queries, tokens], alike for every query; None where nothing is padded."""
    rows, tokens, _ = states.shape
    if mask is None:
        return Layout(rows, tokens, None, torch.arange(0, rows * tokens, tokens), None)
    seen = mask[:, 0, :1].expand(rows, 1, tokens)
    real = seen if seen.dtype == torch.bool else seen > HIDDEN
    places = real.flatten().nonzero().squeeze(1)
    counts = real.sum((1, 2))
    bias = torch.zeros(rows, 1, tokens).masked_fill_(~real, HIDDEN)
    return Layout(rows, tokens, places, counts.cumsum(0) - counts, bias)


def quicken(backbone: Any, *, reads: Reads) -> Noise:
    """Give a transformers model of the `FAMILIES` the encoder above; leave another as it is.

    Returns:
        What draws its dropout's masks.
    """
    noise = Noise()
    body = getattr(backbone, backbone.base_model_prefix, backbone)
    config = backbone.config
    if config.model_type in FAMILIES and config.hidden_act == "gelu" and not config.is_decoder:
        body.encoder = Encoder(body.encoder, config, noise=noise, reads=reads)
        body.embeddings.dropout = Dropout(float(config.hidden_dropout_prob), noise).train(body.training)
    return noise

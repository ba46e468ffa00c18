"""Which tokens were replaced by a generator (Clark et al. 2020): a head, and the generator beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.models.body import body_of
from hone.models.heads import Head, Outputs, linear_layer

HEAD_WIDTH = 16  # of the generator's attention heads, where its width allows


class ReplacedTokens(Head):
    """A generator reads ``input_ids``, tells the tokens at ``mask_places``, int64 [n, 2], and one that it finds likely
    is drawn for each by ``chance``, float32 [n]; the base reads those in their places. The scores are ``generated``
    [n, vocabulary] and, of the tokens of all rows one after another, ``logits`` [tokens], above zero where one is told
    to be replaced, and ``replaced``, 1 where it is another than in ``original``.

    Args:
        size: Width of the generator beside the base's; token embeddings are the base's own.
        layers: Of the generator.
        tokens: Most tokens of a row.
    """

    sparse: ClassVar[bool] = True
    tied: ClassVar[bool] = True
    axes: ClassVar[tuple[str, ...]] = ("tokens",)

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        width: int,
        dropout: float,
        embedded: int,
        size: float,
        layers: int,
        tokens: int,
    ) -> None:
        super().__init__()
        heads = max(1, round(width * size / HEAD_WIDTH))
        inner = heads * max(2, round(width * size / heads))
        self.down, self.up = linear_layer(embedded, inner), linear_layer(inner, embedded)
        self.positions = nn.Parameter(torch.randn(tokens, inner) * 0.02)
        self.before, self.after = nn.LayerNorm(inner), nn.LayerNorm(embedded)
        layer = nn.TransformerEncoderLayer(inner, heads, 4 * inner, dropout, "gelu", batch_first=True)
        self.generator = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(width, 1)

    def scores(self, backbone: Any, given: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Outputs:
        table, at, real = backbone.get_input_embeddings().weight, batch["mask_places"], given["attention_mask"].bool()
        embedded = self.before(self.down(functional.embedding(given["input_ids"], table))
                               + self.positions[: real.shape[1]])  # fmt: skip
        states = self.generator(embedded, src_key_padding_mask=~real)[at[:, 0], at[:, 1]]
        generated = self.after(functional.gelu(self.up(states))) @ table.T  # [n, vocabulary]
        ends = functional.softmax(generated.detach().float(), dim=1).cumsum(1)
        found = (ends < batch["chance"][:, None]).sum(1).clamp(max=len(table) - 1)
        read = given["input_ids"].clone()
        read[at[:, 0], at[:, 1]] = found
        body = body_of(backbone)
        seen = body(**{**given, "input_ids": read}).last_hidden_state
        scores = self.linear(self.dropout(seen)).squeeze(2)[real]
        return {"generated": generated, "logits": scores, "replaced": (read != batch["original"])[real].float()}

    def forward(self, states: Any, batch: Mapping[str, Tensor]) -> Outputs:
        """What `scores` gives."""
        found: Outputs = states
        return found

    def entries(self) -> tuple[str, ...]:
        return ("mask_places", "original", "chance")

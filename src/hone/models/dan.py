"""``dan``: a deep averaging network (Iyyer et al. 2015)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from hone.models.architectures import DanSettings
from hone.models.nets import Net, NetConfig


def config(settings: DanSettings, vocab_size: int) -> NetConfig:
    """The configuration of a net of these sizes."""
    return NetConfig(
        architecture="dan",
        vocab_size=vocab_size,
        embedding_size=settings.embedding,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        word_dropout=settings.word_dropout,
    )


class Dan(Net):
    """Feed-forward layers over the mean of a text's token embeddings. A token's state is what they make of its own
    embedding added to that mean: the text is all the context that it sees."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        widths = [config.embedding_size, *[config.hidden_size] * config.num_hidden_layers]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.post_init()

    def states(self, embedded: Tensor, real: Tensor) -> Tensor:
        return self._deep(embedded + self._mean(embedded, real).unsqueeze(1)) * real

    def text(self, embedded: Tensor, real: Tensor) -> Tensor:
        return self._deep(self._mean(embedded, real))

    def _mean(self, embedded: Tensor, real: Tensor) -> Tensor:
        """Of the tokens of each text, [batch, embedding_size]; in training some are left out of it."""
        if self.training and self.config.word_dropout:
            real = real * (torch.rand_like(real) >= self.config.word_dropout)
        return (embedded * real).sum(1) / real.sum(1).clamp(min=1.0)

    def _deep(self, values: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            values = torch.relu(layer(self.dropout(values) if i else values))
        return values

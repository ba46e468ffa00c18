"""``bilstm``: bidirectional LSTMs over token embeddings (Graves and Schmidhuber 2005)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hone.models.architectures import BiLstmSettings
from hone.models.heads import WordLstm
from hone.models.nets import Net, NetConfig


def config(settings: BiLstmSettings, vocab_size: int) -> NetConfig:
    """The configuration of a net of these sizes."""
    return NetConfig(
        architecture="bilstm",
        vocab_size=vocab_size,
        embedding_size=settings.embedding,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
    )


class BiLstm(Net):
    """Layers that read a text in both directions, each half as wide as a token's state. A text is the most that each
    unit says of any token (Conneau et al. 2017)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        inputs = [config.embedding_size, *[config.hidden_size] * (config.num_hidden_layers - 1)]
        self.layers = nn.ModuleList(WordLstm(width, config.hidden_size // 2) for width in inputs)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.post_init()

    def states(self, embedded: Tensor, real: Tensor) -> Tensor:
        lengths = real.squeeze(2).sum(1).long().clamp(min=1)
        for layer in self.layers:
            embedded = layer(self.dropout(embedded), lengths)
        return embedded

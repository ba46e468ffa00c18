"""``textcnn``: parallel convolutions over token embeddings (Kim 2014)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.models.architectures import TextCnnSettings
from hone.models.nets import Net, NetConfig


def config(settings: TextCnnSettings, vocab_size: int) -> NetConfig:
    """The configuration of a net of these sizes."""
    return NetConfig(
        architecture="textcnn",
        vocab_size=vocab_size,
        embedding_size=settings.embedding,
        hidden_size=settings.hidden,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        widths=list(settings.widths),
    )


class TextCnn(Net):
    """Filters of several widths, each over every place of a text, so that there is a state a token. A text is the most
    that each filter says anywhere in it.

    A convolution is a linear layer over the embeddings of neighbors, side by side; as that, what shrinks linear layers
    shrinks it too.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        filters = config.hidden_size // len(config.widths)
        self.filters = nn.ModuleList(nn.Linear(width * config.embedding_size, filters) for width in config.widths)
        self.post_init()

    def states(self, embedded: Tensor, real: Tensor) -> Tensor:
        found = [
            layer(_neighbors(embedded, width)) for width, layer in zip(self.config.widths, self.filters, strict=True)
        ]
        return torch.relu(torch.cat(found, dim=2)) * real


def _neighbors(embedded: Tensor, width: int) -> Tensor:
    """Of embeddings [batch, tokens, e], zeros where padded: at each token those of ``width`` tokens about it, side by
    side, zeros outside the text: [batch, tokens, width * e]."""
    before = (width - 1) // 2
    around = functional.pad(embedded, (0, 0, before, width - 1 - before))
    count = embedded.shape[1]
    return torch.cat([around[:, at : at + count] for at in range(width)], dim=2)

"""A head that scores every stretch of tokens: a label each, whatever other stretches it overlaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from hone.models.heads import NEVER, Head, Outputs, at_words, linear_layer

BASE = 10_000.0  # of the wave lengths of the rotation


class GlobalPointer(Head):
    """How well each label fits each stretch: the product of its first token's query and its last token's key, turned by
    their places (Su et al. 2022).

    Scores are float32 [batch, first, last, labels]; what is padded or ends before it begins has `NEVER`.

    Args:
        size: Numbers of a query, even.
        efficient: Queries and keys are those of all labels, which differ by a sum over both ends alone: far fewer
            weights where labels are many.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "words", "words")

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float, size: int, efficient: bool) -> None:
        super().__init__()
        self.size, self.labels = size, len(labels)
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(width, 2 * size * (1 if efficient else len(labels)))
        self.ends = linear_layer(2 * size, 2 * len(labels)) if efficient else None

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        words = at_words(states, batch["word_positions"])  # [batch, words, width]
        both = self.linear(self.dropout(words))
        query, key = both.unflatten(2, (-1, 2, self.size)).unbind(3)  # [batch, words, labels or 1, size]
        scores = torch.einsum("bmld,bnld->bmnl", rotated(query), rotated(key)) / self.size**0.5
        if self.ends is not None:
            first, last = (self.ends(both) / 2).unflatten(2, (2, self.labels)).unbind(2)  # [batch, words, labels]
            scores = scores + first.unsqueeze(2) + last.unsqueeze(1)
        real, place = batch["word_mask"], torch.arange(words.shape[1], device=words.device)
        stretch = real.unsqueeze(2) & real.unsqueeze(1) & (place.unsqueeze(1) <= place)  # [batch, first, last]
        return {"logits": scores.masked_fill(~stretch.unsqueeze(3), NEVER)}

    def entries(self) -> tuple[str, ...]:
        return ("word_positions", "word_mask")


def rotated(states: Tensor) -> Tensor:
    """States [batch, words, labels, size] turned by their word's place, so that the product of two of them depends on
    how far apart they are (Su et al. 2021)."""
    size = states.shape[3]
    speed = BASE ** (-torch.arange(0, size, 2, device=states.device, dtype=torch.float32) / size)
    angle = (torch.arange(states.shape[1], device=states.device).unsqueeze(1) * speed).unsqueeze(1)
    cosine, sine = angle.cos(), angle.sin()  # [words, 1, size / 2]
    one, other = states[..., 0::2], states[..., 1::2]
    return torch.stack([one * cosine - other * sine, other * cosine + one * sine], dim=4).flatten(3)

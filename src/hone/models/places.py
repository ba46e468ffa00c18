"""Heads that read states at places that the task names: markers before two spans, the words an answer may begin at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from hone.models.heads import Head, Outputs, at_words, linear_layer, mean_state


class MarkerStates(Head):
    """The states of the markers before two spans, side by side, dropout, linear (Baldini Soares et al. 2019)."""

    count: ClassVar[int] = 2

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(self.count * width, len(labels))

    def read(self, states: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Float [batch, count * width]."""
        return at_words(states, batch["marker_positions"]).flatten(1)

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": self.linear(self.dropout(self.read(states, batch)))}

    def entries(self) -> tuple[str, ...]:
        return ("marker_positions",)

    def first(self) -> dict[str, int]:
        return {"linear.weight": self.count}


class MarkersAndMean(MarkerStates):
    """`MarkerStates` with the mean state of the whole text beside them (as Wu and He 2019 put the first one)."""

    count = 3

    def read(self, states: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([super().read(states, batch), mean_state(states, batch["attention_mask"])], dim=1)


class SpanScores(Head):
    """How likely an answer starts and ends at each place that may be answered: dropout, linear (Devlin et al. 2019)."""

    axes: ClassVar[tuple[str, ...]] = ("batch", "words")

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(width, len(labels))

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        places = at_words(states, batch["answer_positions"])  # [batch, places, width]
        return {"logits": self.linear(self.dropout(places))}

    def entries(self) -> tuple[str, ...]:
        return ("answer_positions",)

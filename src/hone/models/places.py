"""Heads that read states at places that the task names: markers before two spans, the words an answer may begin at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from hone.models.heads import Head, Outputs, at_words, linear_layer


class MarkerStates(Head):
    """The states of the markers before two spans, side by side, dropout, linear (Baldini Soares et al. 2019)."""

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(2 * width, len(labels))

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        both = at_words(states, batch["marker_positions"]).flatten(1)  # [batch, 2 * width]
        return {"logits": self.linear(self.dropout(both))}

    def entries(self) -> tuple[str, ...]:
        return ("marker_positions",)

    def first(self) -> dict[str, int]:
        return {"linear.weight": 2}


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

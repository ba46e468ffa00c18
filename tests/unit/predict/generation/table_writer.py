"""A model so small that all its texts can be counted: the next token depends on the last one and where it stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from hone.models.writers.writer import Writer
from hone.predict.generation.together import Asked, Together
from hone.predict.generation.written import Vocabulary

END = 0


class TableState:
    """Only what was read last, and how many tokens were."""

    def __init__(self, last: Tensor, count: Tensor) -> None:
        self.last, self.count = last, count
        self.hidden: Tensor | None = None
        self.shows = False  # whether steps leave it

    def __len__(self) -> int:
        return len(self.last)

    def take(self, index: Tensor) -> None:
        self.last, self.count = self.last[index], self.count[index]
        self.hidden = None if self.hidden is None else self.hidden[index]

    def join(self, other: TableState) -> None:
        self.last, self.count = torch.cat([self.last, other.last]), torch.cat([self.count, other.count])
        self.hidden = None


class TableWriter:
    """Scores by a table, float32 [places, vocabulary, vocabulary]: of the token after one at a place of the text.

    Attributes:
        begun: How many prompts each call of ``begin`` was given.
        stepped: How many rows each call of ``step`` was given.
    """

    start: int | None = None
    most_tokens: int | None = None
    most_prompt_tokens: int | None = None
    pads = True
    joins = True

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.vocabulary = table.shape[-1]
        self.begun: list[int] = []
        self.stepped: list[int] = []

    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[TableState, Tensor]:
        self.begun.append(len(input_ids))
        last = input_ids.gather(1, attention_mask.sum(dim=1, keepdim=True) - 1)[:, 0]
        state = TableState(last, torch.zeros_like(last))
        state.hidden, state.shows = torch.eye(self.vocabulary)[input_ids] if hidden else None, hidden
        return state, self.table[state.count, last]

    def step(self, state: TableState, tokens: Tensor) -> Tensor:
        self.stepped.append(len(tokens))
        state.hidden = torch.eye(self.vocabulary)[tokens][:, None] if state.shows else None
        state.last, state.count = tokens, (state.count + 1).clamp(max=len(self.table) - 1)
        return self.table[state.count, tokens]


def random_writer(*, places: int = 1, tokens: int = 6, seed: int = 0) -> TableWriter:
    """One with random scores."""
    noise = torch.Generator().manual_seed(seed)
    return TableWriter(torch.randn((places, tokens, tokens), generator=noise) * 2)


def saying(ids: Sequence[int], *, tokens: int) -> TableWriter:
    """One that writes ``ids`` after a prompt of one token 0, and ends."""
    table = torch.zeros((len(ids) + 1, tokens, tokens))
    for place, token in enumerate([*ids, END]):
        table[place, :, token] = 30.0
    return TableWriter(table)


def together_of(writer: Writer) -> Together:
    """What writes by it for several callers."""
    return Together(lambda: writer, threads=lambda: 1, room=lambda least: nullcontext(4096))


class PacedTogether(Together):
    """Writes no token before what was told of the ones before is taken."""

    def __init__(self, writer: TableWriter) -> None:
        super().__init__(lambda: writer, threads=lambda: 1, room=lambda least: nullcontext(4096))
        self._all: list[Asked] = []
        step = writer.step

        def paced(state: TableState, tokens: Tensor) -> Tensor:
            while not all(asked.told.empty() for asked in self._all):
                time.sleep(0.0002)
            return step(state, tokens)

        writer.step = paced  # type: ignore[method-assign]

    def ask(self, *args: Any, **more: Any) -> Asked:
        self._all.append(super().ask(*args, **more))
        return self._all[-1]


ENDING = Vocabulary(eos_token_ids=(END,))


def is_writer(writer: TableWriter) -> Writer:
    """That it keeps to the protocol, as far as types tell."""
    return writer

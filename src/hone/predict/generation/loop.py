"""The loop of all searches: prompts wait, begin where there is room, and leave at once when their texts have ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from hone.models.writers.writer import State, Writer
from hone.predict.generation.written import Written

WORTH = 4  # prompts join when a part of the room is free that is one of so many, for each beginning costs a pass


class Search(Protocol):
    """Chooses what is written.

    Attributes:
        each: Rows of the state for each prompt.
        hidden: Whether it reads the last layer's states.
    """

    each: int
    hidden: bool

    @property
    def rows(self) -> Sequence[Any]:
        """What is being worked on; empty when nothing is."""
        ...

    def limit(self, prompt: Sequence[int]) -> int:
        """Most tokens that it writes for a prompt."""
        ...

    def add(self, keys: Sequence[int], prompts: Sequence[Sequence[int]], state: State) -> None:
        """Take on prompts, which are known by ``keys``; ``state`` is what was read of them, a row for each."""
        ...

    def advance(self, state: Any, logits: Tensor) -> tuple[Tensor, dict[int, list[Written]]]:
        """Choose the next tokens by their logits [rows, vocabulary] and read them: the logits of those that come then,
        and the texts of each prompt that is done, whose rows are no longer in the state."""
        ...


class Loop:
    """Prompts on their way through a search, several at a time.

    Args:
        tokens_at_once: Room for rows: the sum of the tokens that each may come to have.
    """

    def __init__(
        self, writer: Writer, search: Search, prompts: Sequence[Sequence[int]], *, tokens_at_once: int
    ) -> None:
        self._writer, self._search, self._prompts = writer, search, prompts
        self._needs = [search.each * (len(prompt) + search.limit(prompt)) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda key: -len(prompts[key]))  # those of alike lengths begin together
        self._waiting = deque(order)
        self._room = self._all = tokens_at_once
        self._state: Any = None
        self._logits = torch.zeros(0)

    def steps(self) -> Iterator[dict[int, list[Written]]]:
        """Go on until all prompts are done: after each step, the texts of those that it finished."""
        while self._waiting or self._search.rows:
            if self._waiting and self._may_begin():
                self._begin()
            self._logits, found = self._search.advance(self._state, self._logits)
            if not self._search.rows:
                self._state = None
            self._room += sum(self._needs[key] for key in found)
            yield found

    def _may_begin(self) -> bool:
        if self._state is None:
            return True
        waiting = sum(self._needs[key] for key in self._waiting)
        worth = min(waiting, self._all // WORTH)
        return self._writer.joins and self._room >= max(self._needs[self._waiting[0]], worth)

    @torch.inference_mode()
    def _begin(self) -> None:
        """Read as many prompts as there is room for, one at least where there are no others."""
        keys = [self._waiting.popleft()]
        self._room -= self._needs[keys[0]]
        while self._waiting and self._needs[self._waiting[0]] <= self._room and self._goes_with(keys[0]):
            keys.append(self._waiting.popleft())
            self._room -= self._needs[keys[-1]]
        prompts = [self._prompts[key] for key in keys]
        state, logits = self._writer.begin(*padded(prompts), hidden=self._search.hidden)
        self._search.add(keys, prompts, state)
        if self._search.each > 1:
            repeated = torch.arange(len(keys)).repeat_interleave(self._search.each)
            state.take(repeated)
            logits = logits[repeated]
        if self._state is None:
            self._state, self._logits = state, logits
        else:
            self._state.join(state)
            self._logits = torch.cat([self._logits, logits])

    def _goes_with(self, key: int) -> bool:
        return self._writer.pads or len(self._prompts[self._waiting[0]]) == len(self._prompts[key])


def padded(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Prompts padded on the right, and their mask, both int64 [prompts, tokens]."""
    rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    return rows, (torch.arange(rows.shape[1]) < lengths[:, None]).long()

"""The loop of all searches: prompts wait, begin where there is room, and leave at once when their texts have ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from hone.models.writers.writer import State, Writer
from hone.predict.generation.written import Written

WORTH = 4  # prompts join when a part of the room is free that is one of so many, for each beginning costs a pass


class Search(Protocol):
    """Chooses what is written.

    Attributes:
        each: Rows of the state for each prompt, between steps.
        most_rows: Most rows of the state that there are for each prompt, within a step too.
        hidden: Whether it reads the last layer's states.
        rows: What is being worked on, each with its ``key`` and its ``limit``; empty when nothing is.
    """

    each: int
    most_rows: int
    hidden: bool

    @property
    def rows(self) -> Sequence[Any]: ...

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
    """Prompts on their way through a search, several at a time; more may come while others are being written.

    Args:
        tokens_at_once: Room for rows: the sum of the tokens that each may come to have, all rows of a prompt counted.
    """

    def __init__(self, writer: Writer, search: Search, *, tokens_at_once: int) -> None:
        self._writer, self._search = writer, search
        self._prompts: dict[int, Sequence[int]] = {}
        self._needs: dict[int, int] = {}
        self._waiting = deque[int]()
        self._room = self._all = tokens_at_once
        self._state: Any = None
        self._logits = torch.zeros(0)

    @property
    def busy(self) -> bool:
        """Whether something waits or is being written."""
        return bool(self._waiting or self._search.rows)

    def put(self, prompts: Mapping[int, Sequence[int]]) -> None:
        """Write for these too, known by keys that nothing has which is on its way.

        Raises:
            DataError: One of them leaves no room to write; none is taken then.
        """
        rows, limit = self._search.most_rows, self._search.limit
        needs = {key: rows * (len(prompt) + limit(prompt)) for key, prompt in prompts.items()}
        self._prompts |= prompts
        self._needs |= needs
        self._waiting.extend(sorted(prompts, key=lambda key: -len(prompts[key])))  # alike lengths begin together

    def drop(self, keys: Collection[int]) -> list[int]:
        """Write no further for these: those that wait, which are given back, are forgotten, and others end with their
        next token, as texts that have no more room do."""
        for row in self._search.rows:
            if row.key in keys:
                row.limit = 0
        waiting = [key for key in self._waiting if key in keys]
        self._waiting = deque(key for key in self._waiting if key not in keys)
        for key in waiting:
            del self._prompts[key], self._needs[key]
        return waiting

    def step(self) -> dict[int, list[Written]]:
        """One token more for each text: the texts of the prompts that are done with it."""
        if self._waiting and self._may_begin():
            self._begin()
        self._logits, found = self._search.advance(self._state, self._logits)
        if not self._search.rows:
            self._state = None
        self._room += sum(self._needs.pop(key) for key in found)
        for key in found:
            del self._prompts[key]
        return found

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

"""`PrefixWriter`: what prompts begin with alike is read once: a system text, an example that stands before each, what a
conversation has come to."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from hone.models.writers.writer import Continuing, Past

WORTH = 32  # tokens that a beginning has at least: what fewer take is less than what keeping them does
MOST_BYTES = 1 << 26  # of all that is kept


class Alone(NamedTuple):
    """A text that is written by itself.

    Attributes:
        state: What was read of it.
        ids: The tokens of that.
    """

    state: weakref.ref[Any]
    ids: list[int]


class PrefixWriter:
    """A writer that continues prompts, and keeps what it read of their beginnings.

    What is kept is what all prompts of a batch begin with, or a prompt that was read alone, and every `WORTH` tokens
    what was written after it, for a conversation goes on from there; the least lately used is dropped where there would
    be more than ``most_bytes``. Scores are those of the writer itself but for rounding. It is safe to call from several
    threads.
    """

    def __init__(self, writer: Continuing, *, most_bytes: int = MOST_BYTES) -> None:
        self._writer, self._most_bytes = writer, most_bytes
        self._kept: OrderedDict[tuple[int, ...], Past] = OrderedDict()
        self._lock = threading.Lock()
        self._own = threading.local()  # of each thread, the text that it began last: others may join earlier ones
        self.start: int | None = writer.start
        self.most_tokens, self.most_prompt_tokens = writer.most_tokens, writer.most_prompt_tokens
        self.vocabulary, self.pads, self.joins = writer.vocabulary, writer.pads, writer.joins
        self.saved = 0  # tokens of prompts that were not read again

    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[Any, Tensor]:
        rows = [row[:count] for row, count in zip(input_ids.tolist(), attention_mask.sum(1).tolist(), strict=True)]
        room = min(map(len, rows)) - 1  # each has a token to read, whose scores are the next one's
        self._own.alone = None
        if hidden:  # the states of all tokens are asked for
            return self._writer.begin(input_ids, attention_mask, hidden=hidden)
        state, logits = self._begin(input_ids, attention_mask, rows=rows, room=room)
        if len(rows) == 1:
            self._own.alone = Alone(weakref.ref(state), rows[0])
        return state, logits

    def _begin(
        self, input_ids: Tensor, attention_mask: Tensor, *, rows: Sequence[Sequence[int]], room: int
    ) -> tuple[Any, Tensor]:
        if room < WORTH:
            return self._writer.begin(input_ids, attention_mask)
        shared = rows[0][: min(room, *(_alike(rows[0], row) for row in rows))]
        past, known = self._longest(shared)
        if len(rows) > 1 and len(shared) - known >= WORTH:
            past, known = self._read(input_ids[:1, : len(shared)], past=past, known=known), len(shared)
            self._keep(tuple(shared), past)
        if past is None:
            state, logits = self._writer.begin(input_ids, attention_mask)
        else:
            state, logits = self._writer.begin_after(past, input_ids[:, known:], attention_mask[:, known:])
            self.saved += known * len(rows)
        if len(rows) == 1 and len(rows[0]) - known >= WORTH:
            self._keep(tuple(rows[0]), self._writer.past_of(state, tokens=len(rows[0])))
        return state, logits

    def step(self, state: Any, tokens: Tensor) -> Tensor:
        logits = self._writer.step(state, tokens)
        alone: Alone | None = getattr(self._own, "alone", None)
        if alone is not None and alone.state() is state:
            self._follow(alone.ids, state, tokens)
        return logits

    def _follow(self, ids: list[int], state: Any, tokens: Tensor) -> None:
        """A text of these tokens has one more."""
        if len(tokens) > 1:  # beams, or others that joined
            self._own.alone = None
            return
        ids.append(int(tokens[0]))
        whole = int(state.places[0]) == self._writer.before + len(ids)  # not where another thread took some steps of it
        if whole and len(ids) % WORTH == 0:
            self._keep(tuple(ids), self._writer.past_of(state, tokens=len(ids)))

    def _longest(self, shared: Sequence[int]) -> tuple[Past | None, int]:
        """What is kept of as many of the tokens ``shared`` as there are, and how many; none of too few."""
        with self._lock:
            known, key = max(((_alike(shared, key), key) for key in self._kept), default=(0, ()))
            if known < WORTH:
                return None, 0
            self._kept.move_to_end(key)
            past = self._kept[key]
        return tuple((k[:, :known], v[:, :known]) for k, v in past), known

    def _read(self, input_ids: Tensor, *, past: Past | None, known: int) -> Past:
        """What is known after one row [1, tokens] of which ``known`` are read already."""
        rest = input_ids[:, known:]
        begun = self._writer.begin(rest, rest.new_ones(rest.shape)) if past is None else self._writer.begin_after(
            past, rest, rest.new_ones(rest.shape)
        )  # fmt: skip
        return self._writer.past_of(begun[0], tokens=input_ids.shape[1])

    def _keep(self, key: tuple[int, ...], past: Past) -> None:
        """Keep as much of it as there is room for, in place of what it goes on from."""
        each = sum(part.nbytes for pair in past for part in pair) // len(key)
        key = key[: self._most_bytes // max(1, each)]
        count = len(key)
        if count < WORTH:
            return
        with self._lock:
            known = next((old for old in self._kept if _alike(old, key) == count), None)
            if known is not None:  # as of a text that has outgrown the room: there is no more of it to keep
                self._kept.move_to_end(known)
                return
        kept = tuple((k[:, :count].clone(), v[:, :count].clone()) for k, v in past)
        with self._lock:
            for old in [old for old in self._kept if _alike(old, key) == len(old)]:
                del self._kept[old]
            self._kept[key] = kept
            while sum(len(old) for old in self._kept) * each > self._most_bytes:
                self._kept.popitem(last=False)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

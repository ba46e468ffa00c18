"""`BegunWriter`: what was learned to stand before every prompt stands there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hone.models.writers.writer import Continuing, Past


class BegunWriter:
    """A writer whose every prompt has something before it: keys and values that no token of the vocabulary gives.

    Who calls it sees the prompts' own tokens alone: so many fewer fit into a row, and what is known of a prompt's
    beginning is without what stands before it.

    Args:
        writer: What reads and writes.
        learned: What stands before every prompt.
    """

    start: int | None = None

    def __init__(self, writer: Continuing, learned: Past) -> None:
        self._writer, self._learned = writer, learned
        own = learned[0][0].shape[1]
        self.before = writer.before + own
        self.most_tokens = None if writer.most_tokens is None else writer.most_tokens - own
        self.most_prompt_tokens = None if writer.most_prompt_tokens is None else writer.most_prompt_tokens - own
        self.vocabulary, self.pads, self.joins = writer.vocabulary, writer.pads, writer.joins

    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[Any, Tensor]:
        return self._writer.begin_after(self._learned, input_ids, attention_mask, hidden=hidden)

    def begin_after(
        self, past: Past, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False
    ) -> tuple[Any, Tensor]:
        pairs = zip(self._learned, past, strict=True)
        whole = tuple((torch.cat([k, keys], dim=1), torch.cat([v, values], dim=1)) for (k, v), (keys, values) in pairs)
        return self._writer.begin_after(whole, input_ids, attention_mask, hidden=hidden)

    def step(self, state: Any, tokens: Tensor) -> Tensor:
        return self._writer.step(state, tokens)

    def past_of(self, state: Any, *, tokens: int) -> Past:
        own = self._learned[0][0].shape[1]
        return tuple(
            (keys[:, own:], values[:, own:]) for keys, values in self._writer.past_of(state, tokens=own + tokens)
        )

"""Searches that go on with one token a row: the likeliest one, or one that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hone.models.writers.writer import State, Writer
from hone.predict.generation.controls import Controls
from hone.predict.generation.draws import drawn, numbers_of
from hone.predict.generation.ends import Ends
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.decoding import DecodingSettings


@dataclass
class Row:
    """A text that is being written.

    Attributes:
        key: Which prompt it is for.
        limit: Most tokens.
        ids: Its tokens so far.
        log_probability: Their sum.
        numbers: What its tokens are drawn by; None where none are.
    """

    key: int
    limit: int
    numbers: np.random.Generator | None
    ids: list[int] = field(default_factory=list)
    log_probability: float = 0.0


class SingleSearch:
    """Greedy search, and sampling: ``num_return_sequences`` rows a prompt.

    Attributes:
        rows: The texts that are being written, in the order of the state's rows.
    """

    hidden = False

    def __init__(
        self, writer: Writer, settings: DecodingSettings, vocabulary: Vocabulary, words: Sequence[Words]
    ) -> None:
        self._writer, self._settings, self._words = writer, settings, words
        self._ends = Ends(writer, settings, vocabulary)
        self._controls = Controls(settings, vocabulary, words=words, start=writer.start, size=writer.vocabulary)
        self.each = self.most_rows = settings.num_return_sequences
        self.rows: list[Row] = []
        self._ended: dict[int, list[Written]] = {}

    def limit(self, prompt: Sequence[int]) -> int:
        return self._ends.limit(prompt)

    def add(self, keys: Sequence[int], prompts: Sequence[Sequence[int]], state: State) -> None:
        limits = [self._ends.limit(prompt) for prompt in prompts]
        self._controls.add(keys, prompts, each=self.each, limits=limits)
        seed = self._settings.seed if self._settings.do_sample else None
        for key, prompt, limit in zip(keys, prompts, limits, strict=True):
            for draw in range(self.each):
                numbers = None if seed is None else numbers_of(prompt, seed=seed, draw=draw)
                self.rows.append(Row(key, limit, numbers))

    @torch.inference_mode()
    def advance(self, state: Any, logits: Tensor) -> tuple[Tensor, dict[int, list[Written]]]:
        tokens, chances = self._choose(logits)
        index, found = self._move(tokens, chances)
        if index is not None:
            tokens = tokens[index]
            state.take(index)
        self._controls.move(index, tokens)
        return (self._writer.step(state, tokens) if self.rows else logits[:0]), found

    def _choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The next token of each row, int64 [rows], and its log-probability, float32 [rows]."""
        scores = self._controls.apply(logits) if self._controls.active else logits
        if self._settings.do_sample:
            numbers = [0.0 if row.numbers is None else row.numbers.random() for row in self.rows]
            tokens = drawn(scores, torch.tensor(numbers, dtype=torch.float64), self._settings)
        else:
            tokens = torch.from_numpy(scores.numpy().argmax(axis=-1))  # a tenth of the time that torch takes
        return tokens, logits.log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]

    def _move(self, tokens: Tensor, chances: Tensor) -> tuple[Tensor | None, dict[int, list[Written]]]:
        """Note the tokens: the rows to go on with, None where all do, and the prompts that are done."""
        going, found = [], {}
        for at, (row, token, chance) in enumerate(zip(self.rows, tokens.tolist(), chances.tolist(), strict=True)):
            row.ids.append(token)
            row.log_probability += chance
            ended = self._ends.reason(row.ids, limit=row.limit)
            if ended is None:
                going.append(at)
                continue
            texts = self._ended.setdefault(row.key, [])
            words = self._words[row.key]
            texts.append(
                self._ends.written(row.ids, ended, words=words, log_probability=row.log_probability, score=None)
            )
            if len(texts) == self.each:
                found[row.key] = sorted(self._ended.pop(row.key), key=lambda text: -text.score)
        if len(going) == len(self.rows):
            return None, found
        self.rows = [self.rows[at] for at in going]
        return torch.tensor(going, dtype=torch.long), found

"""Contrastive search (Su et al. 2022): of the likeliest tokens the one that is least like what was read before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.writers.writer import State, Writer
from hone.predict.generation.single import SingleSearch
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.decoding import DecodingSettings


class ContrastiveSearch(SingleSearch):
    """Each of the ``top_k`` likeliest tokens is read; a token's score is ``(1 - penalty_alpha)`` times its probability
    less ``penalty_alpha`` times the greatest cosine of its state with one before it, those of a prompt that is
    continued included. The token with the best score is written.
    """

    hidden = True

    def __init__(
        self, writer: Writer, settings: DecodingSettings, vocabulary: Vocabulary, words: Sequence[Words]
    ) -> None:
        super().__init__(writer, settings, vocabulary, words)
        self.most_rows = min(settings.top_k or 1, writer.vocabulary)  # each of the tokens is read
        self._context = torch.zeros((0, 0, 0))  # states of unit length [rows, places, width], zeros where there is none
        self._filled = torch.zeros((0, 0), dtype=torch.bool)  # [rows, places]

    def add(self, keys: Sequence[int], prompts: Sequence[Sequence[int]], state: State) -> None:
        super().add(keys, prompts, state)
        assert state.hidden is not None  # asked for by ``hidden``
        lengths = torch.tensor([len(prompt) if self._writer.start is None else 1 for prompt in prompts])
        filled = torch.arange(state.hidden.shape[1]) < lengths[:, None]
        states = functional.normalize(state.hidden, dim=-1)
        used = self._filled.any(dim=0)  # places of rows that are done are dropped: their order tells nothing
        self._context, self._filled = self._context[:, used], self._filled[:, used]
        places = max(self._context.shape[1], states.shape[1])
        old = (self._context, self._filled) if len(self._context) else (states[:0], filled[:0])
        self._context = torch.cat([_lengthened(part, places) for part in (old[0], states)])
        self._filled = torch.cat([_lengthened(part[..., None], places)[..., 0] for part in (old[1], filled)])

    @torch.inference_mode()
    def advance(self, state: Any, logits: Tensor) -> tuple[Tensor, dict[int, list[Written]]]:
        count = len(self.rows)
        scores = self._controls.apply(logits) if self._controls.active else logits
        chances, tokens = scores.softmax(dim=-1).topk(self.most_rows, dim=-1)
        wide = tokens.shape[1]
        state.take(torch.arange(count).repeat_interleave(wide))
        ahead = self._writer.step(state, tokens.flatten())
        states = functional.normalize(state.hidden[:, -1], dim=-1).view(count, wide, -1)
        best = self._least_alike(chances, states)
        chosen = tokens.gather(1, best[:, None])[:, 0]
        index, found = self._move(chosen, logits.log_softmax(dim=-1).gather(1, chosen[:, None])[:, 0])
        kept = torch.arange(count) if index is None else index
        rows = kept * wide + best[kept]
        state.take(rows)
        self._controls.move(index, chosen[kept])
        self._context = torch.cat([self._context[kept], states[kept, best[kept]][:, None]], dim=1)
        self._filled = functional.pad(self._filled[kept], (0, 1), value=True)
        return ahead[rows], found

    def _least_alike(self, chances: Tensor, states: Tensor) -> Tensor:
        """Which of the tokens each row writes, int64 [rows], by their probabilities [rows, tokens] and states [rows,
        tokens, width]."""
        alpha = self._settings.penalty_alpha or 0.0
        cosines = states @ self._context.transpose(1, 2)  # [rows, tokens, places]
        alike = cosines.masked_fill(~self._filled[:, None], -1.0).amax(dim=-1)
        scores = (1 - alpha) * chances - alpha * alike
        return scores.masked_fill(chances == 0, float("-inf")).argmax(dim=-1)  # what may not be written stays so


def _lengthened(part: Tensor, places: int) -> Tensor:
    """``part`` [rows, places, width] with zeros after it."""
    return functional.pad(part, (0, 0, 0, places - part.shape[1]))

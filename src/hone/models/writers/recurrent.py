"""The writer of a recurrent encoder-decoder: what it remembers of a row has one size, however much was written."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hone.models.rnn_seq2seq import Carried, RnnSeq2Seq, Source


class RecurrentState:
    """Sources, and what the decoder carries from token to token: rows at any places stand side by side."""

    def __init__(self, source: Source, carried: Carried, *, shows: bool) -> None:
        self.source = source
        self.carried = carried
        self.shows = shows  # whether each step leaves its states
        self.hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source.real)

    def take(self, index: Tensor) -> None:
        self.source = Source(*(part[index] for part in self.source))
        self.carried = Carried(*(part[:, index] for part in self.carried))
        self.hidden = None if self.hidden is None else self.hidden[index]

    def join(self, other: RecurrentState) -> None:
        tokens = max(state.source.real.shape[1] for state in (self, other))
        both = [_widened(state.source, tokens) for state in (self, other)]
        self.source = Source(*(torch.cat(parts) for parts in zip(*both, strict=True)))
        self.carried = Carried(*(torch.cat(parts, dim=1) for parts in zip(self.carried, other.carried, strict=True)))
        self.hidden = None


def _widened(source: Source, tokens: int) -> Source:
    """The same, padded to so many tokens a row."""
    lacking = tokens - source.real.shape[1]
    states, keys = (torch.nn.functional.pad(part, (0, 0, 0, lacking)) for part in (source.states, source.keys))
    return Source(states, keys, torch.nn.functional.pad(source.real, (0, lacking)))


class RecurrentWriter:
    """An `RnnSeq2Seq`, in evaluation mode."""

    pads = True
    joins = True
    most_tokens: int | None = None

    def __init__(self, model: RnnSeq2Seq) -> None:
        config: Any = model.config
        self.model = model.eval()
        self.start: int | None = config.decoder_start_token_id
        self.most_prompt_tokens: int | None = config.max_position_embeddings
        self.vocabulary: int = config.vocab_size

    @torch.inference_mode()
    def begin(
        self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False
    ) -> tuple[RecurrentState, Tensor]:
        device = self.model.lm_head.weight.device
        source = self.model.read(input_ids.to(device), attention_mask.to(device))
        state = RecurrentState(source, self.model.begin(source), shows=hidden)
        return state, self.step(state, torch.full_like(input_ids[:, 0], self.model.config.decoder_start_token_id))

    @torch.inference_mode()
    def step(self, state: RecurrentState, tokens: Tensor) -> Tensor:
        outputs, state.carried = self.model.write(
            tokens[:, None].to(state.source.real.device), state.source, state.carried
        )
        state.hidden = outputs.cpu() if state.shows else None
        scores: Tensor = self.model.lm_head(outputs[:, 0]).float().cpu()
        return scores

"""`CastWriter`: a writer whose products are computed in fewer bits, as `torch.autocast` has it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from hone.models.writers.recurrent import RecurrentWriter
from hone.models.writers.writer import Continuing, Past, Writer

Cast = Callable[[], AbstractContextManager[object]]


class CastWriter:
    """A writer within ``cast``, which is entered anew for every pass, for it belongs to a thread. Scores and states are
    given in float32 all the same."""

    def __init__(self, writer: Writer, cast: Cast) -> None:
        self._writer, self._cast = writer, cast
        self.start: int | None = writer.start
        self.most_tokens, self.most_prompt_tokens = writer.most_tokens, writer.most_prompt_tokens
        self.vocabulary, self.pads, self.joins = writer.vocabulary, writer.pads, writer.joins

    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[Any, Tensor]:
        with self._cast():
            return _whole(*self._writer.begin(input_ids, attention_mask, hidden=hidden))

    def step(self, state: Any, tokens: Tensor) -> Tensor:
        with self._cast():
            return _whole(state, self._writer.step(state, tokens))[1]


class CastContinuing(CastWriter):
    """The same of one that goes on from where another one has got to."""

    _writer: Continuing

    def __init__(self, writer: Continuing, cast: Cast) -> None:
        super().__init__(writer, cast)
        self.before = writer.before

    def begin_after(
        self, past: Past, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False
    ) -> tuple[Any, Tensor]:
        with self._cast():
            return _whole(*self._writer.begin_after(past, input_ids, attention_mask, hidden=hidden))

    def past_of(self, state: Any, *, tokens: int) -> Past:
        return self._writer.past_of(state, tokens=tokens)


def _whole(state: Any, logits: Tensor) -> tuple[Any, Tensor]:
    if state.hidden is not None:
        state.hidden = state.hidden.float()
    return state, logits.float()


def cast_writer(writer: Writer, cast: Cast) -> Writer:
    """``writer`` within ``cast``; one that goes on from where another one has got to does so still. Recurrent ones stay
    in float32, for not every device has an LSTM of fewer bits."""
    if isinstance(writer, RecurrentWriter):
        return writer
    return CastContinuing(writer, cast) if isinstance(writer, Continuing) else CastWriter(writer, cast)

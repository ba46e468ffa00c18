"""`Writer`: a model that writes, one token a row at a time, and `State`: what it remembers of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


class State(Protocol):
    """What was read of some rows so far; changed in place, and used by one thread.

    Attributes:
        hidden: Where it was asked for, the last layer's states of what the last call read: float32 [rows, tokens,
            width], padded on the right; None otherwise.
    """

    hidden: Tensor | None

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def take(self, index: Tensor) -> None:
        """Go on with the rows at ``index``, int64 [n]: in that order, any of them several times or not at all."""
        ...

    def join(self, other: Any) -> None:
        """Set the rows of ``other``, a state of the same writer, after these; ``other`` is used up, and ``hidden`` is
        None until the next step."""
        ...


Past = tuple[tuple[Tensor, Tensor], ...]  # of each layer the keys and the values, [heads, tokens, size], of some tokens


class Beginning(Protocol):
    """What was learned to stand before every source.

    Attributes:
        size: How many places it has.
    """

    size: int

    def given(self, backbone: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """What an encoder is given of ``input_ids`` and ``attention_mask``, int64 [rows, tokens], and of this."""
        ...


class Writer(Protocol):
    """A model that writes: reads prompts, then one token a row in each step.

    Attributes:
        start: Token that a text begins with, which is not one of its own: that of an encoder-decoder, whose prompt is
            the source. None where the prompt itself is continued.
        most_tokens: Most tokens of a row: of the text with the start, or with the prompt that it continues; None where
            there is no such limit.
        most_prompt_tokens: Most tokens of a prompt.
        vocabulary: Number of tokens that there are scores for.
        pads: Whether prompts of unlike lengths may begin together.
        joins: Whether rows that are at different places may be joined to one state.
    """

    start: int | None
    most_tokens: int | None
    most_prompt_tokens: int | None
    vocabulary: int
    pads: bool
    joins: bool

    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[State, Tensor]:
        """Read prompts, int64 [n, tokens] padded on the right: the state after them, and the scores of each first
        token, logits float32 [n, vocabulary].

        Args:
            attention_mask: int64 [n, tokens]: 1 of tokens, 0 of padding; no row without a token.
            hidden: Leave the last layer's states in the state's ``hidden``, here and after each step: those of the
                prompt, or of the start token where the prompt is a source.
        """
        ...

    def step(self, state: Any, tokens: Tensor) -> Tensor:
        """Read one more token of each row, int64 [n], of a state that it began: the scores of the next, logits float32
        [n, vocabulary], which the caller may change in place."""
        ...


@runtime_checkable
class Continuing(Writer, Protocol):
    """A writer that can read prompts from where another one has got to. Its states have ``places``, int64 [rows]: where
    each row's next token stands.

    Attributes:
        before: Places before every prompt that something else has.
    """

    before: int

    def begin_after(
        self, past: Past, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False
    ) -> tuple[Any, Tensor]:
        """As `begin`, of prompts that all begin with the tokens of ``past``, which are not among ``input_ids``."""
        ...

    def past_of(self, state: Any, *, tokens: int) -> Past:
        """What is known of the first tokens of a state's first row: of its prompt, or of what was written after it too
        where the row is alone."""
        ...

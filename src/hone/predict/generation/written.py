"""`Written`: a text that was found; `Vocabulary`: what its tokens mean, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hone.models.spellings import Spellings

Ended = Literal["stop", "length", "stop-string"]


@dataclass(frozen=True)
class Written:
    """A text that was found for a prompt.

    Attributes:
        ids: Its tokens, without prompt and start token and without the one that ended it.
        log_probability: Sum of the model's own log-probabilities of its tokens and of the one that ended it.
        score: What texts for one prompt are ranked by: of beam search its own, elsewhere ``log_probability`` divided by
            the number of these tokens to the power of ``length_penalty``.
        ended: Why it ended: by a token that ends texts (``stop``), by ``max_new_tokens`` or the model's last position
            (``length``), or where one of ``stop_strings`` would follow (``stop-string``).
        text: What the tokens say, cut before the stop string; None where the vocabulary decodes nothing.
        satisfied: Whether the text is what a constraint wants; None where there is no constraint.
        ending: The token that ended it; None where none did.
    """

    ids: tuple[int, ...]
    log_probability: float
    score: float
    ended: Ended
    text: str | None = None
    satisfied: bool | None = None
    ending: int | None = None


@dataclass(frozen=True)
class Vocabulary:
    """What tokens mean.

    Attributes:
        eos_token_ids: Tokens that end a text.
        encode: Tokens of each of some texts, without special ones; needed for ``bad_words``.
        decode: The text that tokens say, special ones left out; needed for ``stop_strings`` and `Written.text`.
        spellings: The bytes that each token adds to a text; needed for ``regex`` and ``json_schema``.
        special: Ids of the special tokens, which say nothing, by what they are called.
        forced_bos_token_id: Token that every text begins with, where there is one: that of the language for mBART-50,
            ``<s>`` for BART.
        most_tokens: Of a text and the prompt that it continues; None: as many as the writer reads.
    """

    eos_token_ids: tuple[int, ...]
    encode: Callable[[Sequence[str]], list[list[int]]] | None = None
    decode: Callable[[Sequence[int]], str] | None = None
    spellings: Callable[[], Spellings] | None = None
    forced_bos_token_id: int | None = None
    most_tokens: int | None = None
    special: Callable[[], Mapping[str, int]] = dict

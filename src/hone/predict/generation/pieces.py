"""What of a text that is still being written cannot change any more."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from hone.core.errors import RecipeError
from hone.predict.generation.written import Vocabulary, Written

UNKNOWN = "\ufffd"  # what decoders make of the first bytes of a character


class Pieces:
    """Hands out a text piece by piece.

    Raises:
        RecipeError: The vocabulary cannot decode.
    """

    def __init__(self, vocabulary: Vocabulary, *, stop_strings: Sequence[str]) -> None:
        if vocabulary.decode is None:
            raise RecipeError("a stream of text where there is no tokenizer", code="decoding.no-tokenizer")
        self._decode, self._stops = vocabulary.decode, stop_strings
        self._given = 0  # characters

    def so_far(self, ids: Sequence[int]) -> Iterator[str]:
        """What is settled of a text that begins with these tokens, beyond what was handed out."""
        text = self._decode(ids)
        yield from self._upto(text, self._settled(text))

    def rest(self, written: Written) -> Iterator[str]:
        """What is left when it has ended."""
        assert written.text is not None  # it was decoded
        yield from self._upto(written.text, len(written.text))

    def _upto(self, text: str, end: int) -> Iterator[str]:
        if end > self._given:
            piece, self._given = text[self._given : end], end
            yield piece

    def _settled(self, text: str) -> int:
        """How many characters of a beginning stay: up to its last word, which may grow, and the space before it, which
        decoders drop before some tokens; and up to what may become a stop string."""
        known = text.rstrip(UNKNOWN)
        end = len(known)
        while end > 0 and not stands_alone(text[end - 1]) and not text[end - 1].isspace():
            end -= 1
        end = len(text[:end].rstrip())
        for stop in self._stops:
            most = min(len(stop) - 1, len(known))
            held = next((n for n in range(most, 0, -1) if stop.startswith(known[-n:])), 0)
            end = min(end, len(known) - held)
        return end


def stands_alone(character: str) -> bool:
    """Whether words are written without spaces in its script: a Chinese character or a kana, or full-width
    punctuation; not emoji, of which several may make one."""
    return unicodedata.east_asian_width(character) in ("W", "F") and unicodedata.category(character)[0] in "LP"

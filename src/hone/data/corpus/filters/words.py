"""Filters by words (Rae et al. 2021): their mean length, symbols among them, n-grams that come again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hone.data.corpus.filters.filter import Bounds, Filter, Measured
from hone.text.words import is_unspaced, split_words

SYMBOLS_COUNTED = ("#", "...", "…")


class WordLengthBounds(Bounds):
    """Mean characters of a word; nothing is said of a text most of whose characters are of a script without spaces."""

    min: float | None = 3.0
    max: float | None = 10.0


class SymbolBounds(Bounds):
    """Hash signs and ellipses for each word."""

    min: float | None = None
    max: float | None = 0.1


class RepeatedBounds(Bounds):
    """Share of a document's characters in word n-grams that stood there before; a Chinese character is a word.

    Attributes:
        n: Words of an n-gram.
    """

    min: float | None = None
    max: float | None = 0.15
    n: Annotated[int, Field(ge=1)] = 5


def _words(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


def _word_length(settings: WordLengthBounds) -> Measured:
    def mean(text: str) -> float | None:
        words = text.split()
        characters = sum(map(len, words))
        if not words or 2 * sum(map(is_unspaced, text)) > characters:
            return None
        return characters / len(words)

    return mean


def _symbols(settings: SymbolBounds) -> Measured:
    def share(text: str) -> float | None:
        words = _words(text)
        return sum(map(text.count, SYMBOLS_COUNTED)) / len(words) if words else None

    return share


def _repeated(settings: RepeatedBounds) -> Measured:
    def share(text: str) -> float | None:
        words = _words(text)
        total = sum(map(len, words))
        if not total:
            return None
        seen: set[tuple[str, ...]] = set()
        counted = 0  # words before which every word that is in a repeated n-gram is counted
        again = 0
        for i in range(len(words) - settings.n + 1):
            gram = tuple(words[i : i + settings.n])
            if gram in seen:
                again += sum(map(len, words[max(i, counted) : i + settings.n]))
                counted = i + settings.n
            seen.add(gram)
        return again / total

    return share


REPEATED_NGRAMS = Filter(RepeatedBounds, _repeated)
SYMBOLS = Filter(SymbolBounds, _symbols)
WORD_LENGTH = Filter(WordLengthBounds, _word_length)

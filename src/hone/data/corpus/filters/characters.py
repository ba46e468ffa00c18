"""Filters by characters: how many, which share are letters, which are the traces of a wrong decoding."""

from __future__ import annotations

import unicodedata

from hone.data.corpus.filters.filter import Bounds, Filter, Measured

REPLACED = "\ufffd"


class CharacterBounds(Bounds):
    """Characters of the document."""

    min: float | None = 100
    max: float | None = None


class LetterBounds(Bounds):
    """Share of the characters that are letters, marks upon them (as the vowels of Hindi are), ideographs or digits,
    among those that are no white space."""

    min: float | None = 0.6
    max: float | None = None


class ReplacementBounds(Bounds):
    """Share of the characters that stand for one that could not be decoded (U+FFFD)."""

    min: float | None = None
    max: float | None = 0.0


def _characters(settings: CharacterBounds) -> Measured:
    return lambda text: float(len(text))


def _letters(settings: LetterBounds) -> Measured:
    def share(text: str) -> float | None:
        visible = "".join(text.split())
        return sum(map(_of_words, visible)) / len(visible) if visible else None

    return share


def _of_words(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _replacement(settings: ReplacementBounds) -> Measured:
    return lambda text: text.count(REPLACED) / max(1, len(text))


CHARACTERS = Filter(CharacterBounds, _characters)
LETTERS = Filter(LetterBounds, _letters)
REPLACEMENT = Filter(ReplacementBounds, _replacement)

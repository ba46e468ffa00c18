"""The terms that a text is found by: words without case, and of scripts written without spaces characters and pairs."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from hone.text.words import is_unspaced, split_words

# Letters, digits and punctuation as wide as Chinese characters, and their usual forms: one character each.
_USUAL = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20}


class Term(NamedTuple):
    """A term and where it stands, in characters, end exclusive."""

    name: str
    start: int
    end: int


def terms(text: str) -> list[Term]:
    """All terms of ``text``, repeated ones too; punctuation is none.

    A run of letters and digits is a term in lower case, and full-width ones are read as their usual forms. Every
    Chinese character is one, and every two that stand beside each other: words have one to four of them, and nothing
    says where they end.
    """
    text = text.translate(_USUAL)
    words = [
        Term(text[start:end].casefold(), start, end)
        for start, end in split_words(text)
        if any(character.isalnum() for character in text[start:end])
    ]
    pairs = [
        Term(one.name + other.name, one.start, other.end)
        for one, other in itertools.pairwise(words)
        if one.end == other.start and is_unspaced(text[one.start]) and is_unspaced(text[other.start])
    ]
    return words + pairs

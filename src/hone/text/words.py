"""Words and their character offsets, for English-like scripts and for Chinese (one character a word)."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Sequence

# Scripts written without spaces: CJK ideographs with their extensions, kana, full-width forms.
UNSPACED = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f"
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’.\-][^\W{UNSPACED}]+)*|[^\w\s]")
_UNSPACED = re.compile(rf"[{UNSPACED}]")


@functools.cache
def _marked() -> tuple[frozenset[str], re.Pattern[str]]:
    """The combining marks, which are no ``\\w``; and `_WORD` where a mark stays with its letter, as in हिन्दी."""
    codes = (*range(0x20000), *range(0xE0100, 0xE01F0))
    marks = {code for code in codes if unicodedata.category(chr(code)).startswith("M")}
    begins, ends = (sorted(code for code in marks if code + step not in marks) for step in (-1, 1))
    mark = "".join(f"{chr(begin)}-{chr(end)}" for begin, end in zip(begins, ends, strict=True))
    run = rf"[^\W{UNSPACED}]+(?:[{mark}]+[^\W{UNSPACED}]*)*"
    word = rf"[{UNSPACED}][{mark}]*|{run}(?:['’.\-]{run})*|[^\w\s][{mark}]*"
    return frozenset(map(chr, marks)), re.compile(word)


def split_words(text: str) -> list[tuple[int, int]]:
    """Character offsets ``(start, end)``, end exclusive, of the words and punctuation marks of ``text``.

    A Chinese character is a word; a run of letters and digits is one, with inner apostrophes, hyphens and periods;
    every other visible character stands alone. Combining marks belong to the character before them, white space to no
    word.
    """
    word = _WORD
    if not text.isascii():
        marks, marked = _marked()
        word = word if marks.isdisjoint(text) else marked  # which takes twice as long
    return [match.span() for match in word.finditer(text) if not match.group().isspace()]


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script written without spaces."""
    return bool(_UNSPACED.match(character))


def split_characters(text: str) -> list[tuple[int, int]]:
    """Character offsets of every character of ``text`` that is not white space: one a token, Latin letters too."""
    return [(i, i + 1) for i, character in enumerate(text) if not character.isspace()]


def join_characters(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text that ``words`` make with nothing between them, and the offsets of each in it."""
    ends = [0, *itertools.accumulate(map(len, words))]
    return "".join(words), list(itertools.pairwise(ends))


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text that ``words`` make, and the offsets of each in it.

    Words are parted by one space, except between two characters of a script written without spaces.
    """
    pieces: list[str] = []
    offsets: list[tuple[int, int]] = []
    length = 0
    for word in words:
        if pieces and not (_UNSPACED.match(pieces[-1][-1:]) and _UNSPACED.match(word[:1])):
            pieces.append(" ")
            length += 1
        offsets.append((length, length + len(word)))
        pieces.append(word)
        length += len(word)
    return "".join(pieces), offsets


def contains_word(text: str, word: str) -> bool:
    """Whether ``word`` stands in ``text`` as it is written, and in scripts with spaces not as part of a longer one."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (_goes_on(text[at - 1 : at], word[0]) or _goes_on(word[-1], text[end : end + 1])):
            return True
        at = text.find(word, at + 1)
    return False


def _goes_on(one: str, other: str) -> bool:
    """Whether two neighboring characters, of which there may be none, are of one word."""
    return all(c.isalnum() and not is_unspaced(c) for c in (one, other) if c) and bool(one and other)

"""The units that written texts are compared by, and their sentences."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable

from hone.text.words import split_words

Splitter = Callable[[str], list[str]]

_ENGLISH = re.compile(r"[a-z0-9]+")
_LINES = re.compile(r"\n+")
# After a mark that ends a sentence, with the quotes and brackets that close behind it
_ENDS = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？])[”’」』）]*")


def english_words(text: str) -> list[str]:
    """The words of ``text`` as ROUGE-1.5.5 takes them (Lin 2004), not stemmed: runs of a to z and digits, in lower
    case. Letters with accents and of other scripts part words and are lost."""
    return _ENGLISH.findall(text.lower())


def words_and_characters(text: str) -> list[str]:
    """The words of a text of any script, in lower case; of scripts written without spaces every character is one.

    Full-width and other compatibility forms are those that they stand for (NFKC), and punctuation is none.
    """
    normal = unicodedata.normalize("NFKC", text).lower()
    words = (normal[start:end] for start, end in split_words(normal))
    return [word for word in words if any(character.isalnum() for character in word)]


def split_sentences(text: str) -> list[str]:
    """The sentences of ``text``, stripped, none empty: its lines; of a text in one line what ends in ``.``, ``!`` or
    ``?`` before white space, or in ``。``, ``！`` or ``？``. Abbreviations are not known."""
    lines = [line.strip() for line in _LINES.split(text) if line.strip()]
    if len(lines) > 1:
        return lines
    return [sentence for line in lines for sentence in _parted(line)]


def _parted(line: str) -> list[str]:
    cuts = [0, *(match.end() for match in _ENDS.finditer(line)), len(line)]
    parts = (line[begin:end].strip() for begin, end in itertools.pairwise(cuts))
    return [part for part in parts if part]


def sentence_starts(text: str) -> list[int]:
    """Where the sentences of ``text`` begin, in characters, ascending: at 0, after every line, and after what ends one
    (see `split_sentences`)."""
    ends = itertools.chain(_LINES.finditer(text), _ENDS.finditer(text))
    return sorted({0, *(match.end() for match in ends if match.end() < len(text))})

"""Word shapes: what an uncased tokenizer throws away (case, digits, punctuation), as small integers."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CASES = ("padding", "lower", "title", "upper", "mixed", "digits", "digits-and-punctuation", "letters-and-digits",
         "initial", "dotted", "punctuation", "other")  # fmt: skip
PATTERN_BUCKETS = 256
AFFIX_BUCKETS = 1024
SHAPE_SIZES = (len(CASES), PATTERN_BUCKETS, AFFIX_BUCKETS)  # sizes of the features of `word_shapes`, in order
_RUNS = re.compile(r"(.)\1{2,}")


def word_shapes(words: Sequence[str]) -> NDArray[np.int32]:
    """Shape features of each word, int32 [words, 3]: case class, collapsed pattern, cased ending; 0 is padding.

    The pattern writes upper as X, lower as x, digits as d, others as they are, runs cut to two (``McDonald's`` ->
    ``XxXxx'x``), hashed; the ending is the last three characters with their case, hashed.
    """
    return np.array([_features(word) for word in words], dtype=np.int32).reshape(-1, len(SHAPE_SIZES))


def _features(word: str) -> tuple[int, int, int]:
    pattern = _RUNS.sub(r"\1\1", "".join(_kind(character) for character in word))
    return CASES.index(_case(word)), _bucket(pattern, PATTERN_BUCKETS), _bucket(word[-3:], AFFIX_BUCKETS)


def _bucket(text: str, buckets: int) -> int:
    return 1 + zlib.crc32(text.encode("utf-8", "surrogatepass")) % (buckets - 1)


def _kind(character: str) -> str:
    if character.isupper():
        return "X"
    if character.isdigit():
        return "d"
    return "x" if character.isalpha() else character


def _case(word: str) -> str:
    letters = [character for character in word if character.isalpha()]
    if not letters:
        digits = any(character.isdigit() for character in word)
        return ("digits" if word.isdigit() else "digits-and-punctuation") if digits else "punctuation"
    if any(character.isdigit() for character in word):
        return "letters-and-digits"
    if all(not character.isupper() and not character.islower() for character in letters):
        return "other"  # a script without case
    if "." in word and word[0].isupper():
        return "dotted"
    if len(word) == 1 and word.isupper():
        return "initial"
    if all(character.isupper() for character in letters):
        return "upper"
    if all(character.islower() for character in letters):
        return "lower"
    return "title" if word[0].isupper() and all(not c.isupper() for c in word[1:]) else "mixed"

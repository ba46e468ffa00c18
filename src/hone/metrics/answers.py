"""Measures of answers given as text: exact match and F1 over words (Rajpurkar et al. 2016), over characters in Chinese
(Cui et al. 2019)."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from hone.text.words import UNSPACED

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def answer_words(text: str) -> list[str]:
    """The words of an answer as the official script of SQuAD takes them: in lower case, without punctuation and
    English articles; a character of a script without spaces is a word, as in that of CMRC 2018."""
    kept = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    return _WORD.findall(_ARTICLES.sub(" ", kept))


def exact_match(gold: Sequence[str], said: str) -> bool:
    """Whether what was said has the words of one of the right answers; of none, whether nothing was said."""
    words = answer_words(said)
    return any(answer_words(one) == words for one in gold) if gold else not words


def answer_f1(gold: Sequence[str], said: str) -> float:
    """F1 of the words of what was said, against the right answer that it is nearest to; of none, 1 where nothing was
    said and else 0."""
    words = answer_words(said)
    return max((_f1(answer_words(one), words) for one in gold), default=float(not words))


def _f1(gold: list[str], said: list[str]) -> float:
    if not gold or not said:
        return float(gold == said)
    shared = sum((Counter(gold) & Counter(said)).values())
    return 2 * shared / (len(gold) + len(said))

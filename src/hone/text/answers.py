"""The words that answers are compared by."""

from __future__ import annotations

import re
import string
import unicodedata

from hone.text.words import UNSPACED

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def answer_words(text: str) -> list[str]:
    """The words of an answer as the official script of SQuAD takes them (Rajpurkar et al. 2016): in lower case, without
    punctuation and English articles; a character of a script without spaces is a word, as in that of CMRC 2018 (Cui et
    al. 2019)."""
    kept = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    return _WORD.findall(_ARTICLES.sub(" ", kept))

"""Measures of answers given as text, by their words: exact match and F1 (Rajpurkar et al. 2016)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

Words = Sequence[Hashable]


def exact_match(gold: Sequence[Words], said: Words) -> bool:
    """Whether what was said has the words of one of the right answers; where there is none, whether nothing was."""
    return any(list(one) == list(said) for one in gold) if gold else not said


def answer_f1(gold: Sequence[Words], said: Words) -> float:
    """F1 of the words of what was said, against the right answer that it is nearest to; where there is none, 1 if
    nothing was said and else 0."""
    return max((_f1(one, said) for one in gold), default=float(not said))


def _f1(gold: Words, said: Words) -> float:
    if not gold or not said:
        return float(list(gold) == list(said))
    shared = sum((Counter(gold) & Counter(said)).values())
    return 2 * shared / (len(gold) + len(said))

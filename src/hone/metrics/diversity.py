"""How much written texts repeat themselves and one another. A text is given as its units (`hone.text.units`)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

from hone.metrics.bleu import ORDERS, sentence_bleu
from hone.metrics.classification import FloatArray
from hone.metrics.ngrams import Ngram, Units, count

DISTINCT_ORDERS = (1, 2, 3)
DISTINCT_COLUMNS = 2 * len(DISTINCT_ORDERS)
REPETITION_COLUMNS = 2
SELF_BLEU_COLUMNS = 2
SELF_BLEU_TEXTS = 1000  # every score grows with the number of texts, so sets are compared at the same one


def distinct_tally(said: Sequence[Units]) -> FloatArray:
    """Of each text, float64 [texts, 6]: its part of the set's distinct n-grams for n = 1, 2, 3, then its n-grams.

    A distinct n-gram counts once in the whole set, in equal parts for the texts that have it. So the columns add up to
    the set's counts, while some texts alone are credited with less than they would have by themselves.
    """
    out = np.zeros((len(said), DISTINCT_COLUMNS))
    for column, n in enumerate(DISTINCT_ORDERS):
        each = [count(units, n) for units in said]
        texts = Counter(chain.from_iterable(each))
        out[:, column] = [sum(1 / texts[ngram] for ngram in grams) for grams in each]
        out[:, len(DISTINCT_ORDERS) + column] = [grams.total() for grams in each]
    return out


def distinct(tally: FloatArray) -> dict[str, float | None]:
    """``distinct_1`` to ``distinct_3`` of the set (Li et al. 2016): distinct n-grams over all n-grams, 0 to 1; None of
    none. A tally equals its sum.

    They fall as a set grows. Texts drawn with replacement stand in a set twice, which makes no set more distinct, so a
    bootstrap says nothing of them: their spec's ``interval`` is ``none``.
    """
    found, written = tally.sum(axis=0).reshape(2, -1).tolist()
    return {f"distinct_{n}": _share(*parts) for n, *parts in zip(DISTINCT_ORDERS, found, written, strict=True)}


def repetition_tally(said: Sequence[Units], *, n: int = 4) -> FloatArray:
    """Of each text, float64 [texts, 2]: its distinct n-grams, and all of them."""
    grams = [count(units, n) for units in said]
    return np.array([(len(each), each.total()) for each in grams], dtype=np.float64).reshape(-1, REPETITION_COLUMNS)


def repetition(tally: FloatArray) -> dict[str, float | None]:
    """``repeated_ngrams`` of a tally float64 [texts, 2]: ``1 - distinct / all`` n-grams within texts (seq-rep-n,
    Welleck et al. 2020, summed); None of nothing. A tally equals its sum."""
    once, written = tally.sum(axis=0).tolist()
    return {"repeated_ngrams": _share(written - once, written)}


def self_bleu_tally(said: Sequence[Units], *, most: int = SELF_BLEU_TEXTS, seed: int = 0) -> FloatArray:
    """Of each text, float64 [texts, 2]: its BLEU, 0 to 100, with all others as references, and 1.

    Of more than ``most`` texts that many are drawn without replacement by ``seed``, and held against each other alone;
    the others have 0 in both columns. The cost grows with the length of the texts drawn, not with its square: of
    each n-gram the two most frequent holders are known.

    Raises:
        ValueError: ``most`` is less than 2.
        MissingExtra: sacrebleu is not installed.
    """
    if most < 2:
        raise ValueError(f"most must be at least 2, got {most}")
    out = np.zeros((len(said), SELF_BLEU_COLUMNS))
    drawn = list(range(len(said)))
    if len(said) > most:
        drawn = sorted(np.random.default_rng(seed).choice(len(said), most, replace=False).tolist())
    if len(drawn) > 1:
        out[drawn, 0] = sentence_bleu(_against_others([said[at] for at in drawn]))
        out[drawn, 1] = 1
    return out


def self_bleu(tally: FloatArray) -> dict[str, float | None]:
    """``self_bleu``, the mean BLEU of a text against all others (Zhu et al. 2018), 0 to 100: 100 where all are the
    same. None where no text has another. A tally, float64 [texts, 2], equals its sum."""
    summed, texts = tally.sum(axis=0).tolist()
    return {"self_bleu": _share(summed, texts)}


def _against_others(said: Sequence[Units]) -> FloatArray:
    """Counts as of `hone.metrics.bleu.Bleu.tally` of each text with all others as its references."""
    lengths = sorted(len(units) for units in said)
    out = np.zeros((len(said), 2 + 2 * ORDERS))
    out[:, 0] = [len(units) for units in said]
    out[:, 1] = [_nearest_other(lengths, len(units)) for units in said]
    for n in range(1, ORDERS + 1):
        grams = [count(units, n) for units in said]
        most: dict[Ngram, tuple[int, int]] = {}  # how often it stands in the text that has it most, and in the next
        for each in grams:
            for ngram, times in each.items():
                first, second = most.get(ngram, (0, 0))
                most[ngram] = (times, first) if times > first else (first, max(second, times))
        for at, each in enumerate(grams):
            # of itself a text is no reference: where it is the first holder, the second is the first of the others
            others = ((times, most[ngram]) for ngram, times in each.items())
            out[at, 1 + n] = sum(min(times, second if times == first else first) for times, (first, second) in others)
            out[at, 1 + ORDERS + n] = each.total()
    return out


def _nearest_other(lengths: Sequence[int], length: int) -> int:
    """The nearest of sorted ``lengths``, one of which is ``length`` itself and left out; the shorter of two."""
    at = bisect_left(lengths, length)
    beside = [*lengths[max(0, at - 1) : at], *lengths[at + 1 : at + 2]]
    return min(beside, key=lambda other: (abs(other - length), other))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None

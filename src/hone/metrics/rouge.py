"""ROUGE-1, ROUGE-2, ROUGE-L and summary-level ROUGE-L (Lin 2004), as the package rouge-score counts them.

A text is given as its sentences and a sentence as its units (`hone.text.units`): words, or the characters of a script
written without spaces. Of counts ``hits``, ``reference`` and ``written``, precision is ``hits / written``, recall
``hits / reference`` and F1 their harmonic mean, 0 where undefined. A set's scores are means over its texts, not scores
of summed counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np

from hone.metrics.classification import FloatArray
from hone.metrics.ngrams import Units, count
from hone.metrics.references import check_references

Sentences = Sequence[Units]
Score = tuple[float, float, float]  # precision, recall, F1

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
ROUGE_COLUMNS = 3 * len(ROUGE) + 1


def rouge_tally(gold: Sequence[Sequence[Sentences]], said: Sequence[Sentences]) -> FloatArray:
    """Scores of each text, float64 [texts, 13]: precision, recall and F1 of each of `ROUGE`, then 1.

    Of several references each score takes the one whose F1 is best. ``rougeL`` reads a text as one sequence;
    ``rougeLsum`` joins what each sentence of the reference shares with every written one, and a unit counts no more
    often than it stands in either text. Of one sentence each, both are the same.

    Args:
        gold: The references of each text, at least one.
        said: The texts that were written.

    Raises:
        ValueError: Lengths differ, or a text has no reference.
    """
    check_references(gold, said)
    out = np.ones((len(said), ROUGE_COLUMNS))
    for at, (references, text) in enumerate(zip(gold, said, strict=True)):
        each = np.array([_scores(reference, text) for reference in references])  # [references, scores, 3]
        best = each[:, :, 2].argmax(axis=0)
        out[at, :-1] = each[best, np.arange(len(ROUGE))].ravel()
    return out


def rouge(tally: FloatArray) -> dict[str, float | None]:
    """Means over the texts of a tally, float64 [texts, 13], 0 to 1: F1 under the names of `ROUGE`, then
    ``rouge1_precision``, ``rouge1_recall`` and so on; None of no texts. A tally equals its sum."""
    *sums, texts = tally.sum(axis=0).tolist()
    means = [value / texts if texts else None for value in sums]
    named = dict(zip(ROUGE, means[2::3], strict=True))
    for name, precision, recall in zip(ROUGE, means[::3], means[1::3], strict=True):
        named |= {f"{name}_precision": precision, f"{name}_recall": recall}
    return named


def lcs_length(one: Units, other: Units) -> int:
    """Length of the longest common subsequence, by whole rows as the bits of a number (Hyyrö 2004)."""
    rows = _lcs_rows(one, other)
    return len(one) - rows[-1].bit_count()


def _scores(gold: Sentences, said: Sentences) -> list[Score]:
    """Precision, recall and F1 of each of `ROUGE`."""
    whole, text = (list(chain.from_iterable(sentences)) for sentences in (gold, said))
    units, pairs = (len(whole), len(text)), (len(whole) - 1, len(text) - 1)
    return [
        _score((count(whole, 1) & count(text, 1)).total(), *units),
        _score((count(whole, 2) & count(text, 2)).total(), *pairs),
        _score(lcs_length(whole, text), *units),
        _score(_summary_hits(gold, said), *units),
    ]


def _score(hits: int, gold: int, said: int) -> Score:
    if not hits:
        return 0.0, 0.0, 0.0
    precision, recall = hits / said, hits / gold
    return precision, recall, 2 * precision * recall / (precision + recall)


def _summary_hits(gold: Sentences, said: Sentences) -> int:
    """Units of the reference in the union of longest common subsequences with every written sentence; each is used up
    on both sides, as in ROUGE-1.5.5."""
    left, right = (Counter(chain.from_iterable(sentences)) for sentences in (gold, said))
    hits = 0
    for sentence in gold:
        places = set().union(*(_lcs_places(sentence, other) for other in said))
        for unit in (sentence[place] for place in sorted(places)):
            if left[unit] and right[unit]:
                hits += 1
                left[unit] -= 1
                right[unit] -= 1
    return hits


def _lcs_rows(one: Units, other: Units) -> list[int]:
    """Of each prefix of ``other``, the empty one too, a number whose bit ``i`` is 0 where unit ``i`` of ``one`` makes
    the longest common subsequence of ``one[: i + 1]`` and the prefix longer than without it."""
    full = (1 << len(one)) - 1
    places: dict[Hashable, int] = {}
    for i, unit in enumerate(one):
        places[unit] = places.get(unit, 0) | 1 << i
    rows = [full]
    for unit in other:
        matched = rows[-1] & places.get(unit, 0)
        rows.append((rows[-1] + matched | rows[-1] - matched) & full)
    return rows


def _lcs_places(one: Units, other: Units) -> list[int]:
    """Places in ``one`` of a longest common subsequence: the one that rouge-score walks back to, since the union over
    sentences depends on the choice."""
    rows, i, j = _lcs_rows(one, other), len(one), len(other)
    places = []
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif rows[j] >> (i - 1) & 1:
            i -= 1
        else:
            j -= 1
    return places

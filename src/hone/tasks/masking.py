"""Which tokens are masked: drawn to learn from, or spread evenly to be measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hone.tasks.rows import IntArray

SPAN_END = 0.2  # chance that a span ends after a word
SPAN_WORDS = 10


def drawn(words: IntArray, *, share: float, whole: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Tokens drawn each with the chance ``share``, at least one of each row that has any: bool [rows, tokens].

    Args:
        words: The number of each token's word, int64 [rows, tokens]; -1 where it is never drawn.
        whole: Draw words, all tokens of one together.
    """
    may = words >= 0
    chances = rng.random(words.shape)
    if (
        whole
    ):  # all tokens of a word have one chance; a row may be a late piece of a long text, so words are counted anew
        first = words.min(axis=1, keepdims=True, initial=np.iinfo(words.dtype).max, where=may)
        number = np.where(may, words - first, 0)
        width = int(number.max(initial=0)) + 1
        chances = np.take_along_axis(rng.random((len(words), width)), number, axis=1)
    chances = np.where(may, chances, 2.0)
    least = chances.min(axis=1, keepdims=True)
    found: NDArray[np.bool_] = may & ((chances < share) | (chances == least))
    return found


def drawn_spans(words: IntArray, *, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whole words drawn in spans of neighbors until ``share`` of a row's tokens, and at least one, are (SpanBERT, Joshi
    et al. 2020): spans begin anywhere and have a geometric number of words, at most `SPAN_WORDS`.

    Args:
        words: As of `drawn`.
    """
    found = np.zeros(words.shape, dtype=np.bool_)
    for row, taken in zip(words, found, strict=True):
        known = np.unique(row[row >= 0])
        budget = max(1, round(share * int((row >= 0).sum())))
        while len(known) and taken.sum() < budget:
            length = min(int(rng.geometric(SPAN_END)), SPAN_WORDS)
            begin = int(rng.integers(len(known)))
            span = known[begin : begin + length]
            for word in span.tolist():
                if taken.sum() < budget:
                    taken |= row == word
    return found


def stand_ins(gold: Tensor, *, mask_id: int, vocab_size: int, rng: np.random.Generator) -> Tensor:
    """What stands in place of the tokens ``gold``, int64 [n], that are to be told: of ten, eight are masked, one is
    another token of the vocabulary, and one stays as it is (Devlin et al. 2019)."""
    how = rng.random(len(gold))
    other = torch.from_numpy(rng.integers(0, vocab_size, len(gold)))
    kept, swapped = torch.from_numpy(how >= 0.9), torch.from_numpy((how >= 0.8) & (how < 0.9))
    return torch.where(swapped, other, torch.where(kept, gold, mask_id))


def spread(places: IntArray, most: int) -> IntArray:
    """At most ``most`` of ``places``, evenly spread over them, in their order."""
    if len(places) <= most:
        return places
    return places[((np.arange(most) + 0.5) * len(places) / most).astype(np.int64)]


def nearest_window(places: IntArray, windows: Sequence[tuple[int, int]]) -> IntArray:
    """Of each place the window in which it is farthest from both ends, int64 [places]."""
    begins, ends = np.array(windows, dtype=np.int64).T
    inside = np.minimum(places[:, None] - begins, ends - 1 - places[:, None])  # below zero outside
    out: IntArray = inside.argmax(axis=1)
    return out

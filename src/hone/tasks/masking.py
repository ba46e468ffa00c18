"""Which tokens are masked: drawn to learn from, or spread evenly to be measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hone.tasks.rows import IntArray

SPAN_END = 0.2  # chance that a span ends after a word
SPAN_WORDS = 10  # at most
SPAN_SHARES = 1 - (1 - SPAN_END) ** np.arange(1, SPAN_WORDS + 1)
SPAN_SHARES /= SPAN_SHARES[-1]  # of the spans have 1 word, 2 at most, ...


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


def drawn_spans(words: IntArray, *, share: float, rng: np.random.Generator) -> IntArray:
    """Whole words drawn in spans of neighbors until ``share`` of a row's tokens, and at least one, are (SpanBERT, Joshi
    et al. 2020): spans begin at any word that is in none yet and have `span_words` words.

    Args:
        words: As of `drawn`.

    Returns:
        The number of each token's span among all, from 0, -1 where it is in none: int64 [rows, tokens].
    """
    found = np.full(words.shape, -1, dtype=np.int64)
    spans = 0
    for row, taken in zip(words, found, strict=True):
        known, at, tokens = np.unique(row[row >= 0], return_inverse=True, return_counts=True)
        left = max(1, round(share * len(at))) if len(known) else 0
        own = np.full(len(known), -1)
        while left > 0:
            begin = int(rng.choice(np.flatnonzero(own < 0)))
            for word in range(begin, min(begin + span_words(rng), len(known))):
                if own[word] < 0 < left:
                    own[word], left = spans, left - int(tokens[word])
            spans += 1
        taken[row >= 0] = own[at]
    return found


def span_words(rng: np.random.Generator) -> int:
    """How many words a span has: geometric with the chance `SPAN_END`, among 1 to `SPAN_WORDS`; 3.8 on average."""
    return 1 + int(np.searchsorted(SPAN_SHARES[:-1], rng.random(), side="right"))


def stand_ins(
    gold: Tensor,
    *,
    mask_id: int,
    vocab_size: int,
    rng: np.random.Generator,
    masked: float = 0.8,
    other: float = 0.1,
    together: IntArray | None = None,
) -> Tensor:
    """What stands in place of the tokens ``gold``, int64 [n], that are to be told: the mask, another token of the
    vocabulary, or what was there (Devlin et al. 2019).

    Args:
        masked: Share of those that are masked.
        other: Share of those that are another token, each one of its own; the rest stays.
        together: Numbers from 0, int64 [n]: tokens of one number fare alike (Joshi et al. 2020). None: each by itself.
    """
    number = np.arange(len(gold)) if together is None else together
    how = torch.from_numpy(rng.random(int(number.max(initial=-1)) + 1)[number])
    another = torch.from_numpy(rng.integers(0, vocab_size, len(gold)))
    return torch.where(how < masked, mask_id, torch.where(how < masked + other, another, gold))


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

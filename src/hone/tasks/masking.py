"""Which tokens are masked: drawn to learn from, or spread evenly to be measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.tasks.rows import IntArray


def drawn(words: IntArray, *, share: float, whole: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Tokens drawn each with the chance ``share``, at least one of each row that has any: bool [rows, tokens].

    Args:
        words: The number of each token's word, int64 [rows, tokens]; -1 where it is never drawn.
        whole: Draw words, all tokens of one together.
    """
    may = words >= 0
    chances = rng.random(words.shape)
    if whole:  # a word's tokens have the chance of its first column number
        width = int(words.max(initial=0)) + 1
        chances = np.take_along_axis(rng.random((len(words), width)), np.maximum(words, 0), axis=1)
    chances = np.where(may, chances, 2.0)
    least = chances.min(axis=1, keepdims=True)
    found: NDArray[np.bool_] = may & ((chances < share) | (chances == least))
    return found


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

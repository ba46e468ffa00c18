"""`Cuts`: the words of all runs at once, cut as `Lexicon` cuts one: arrays of places in the place of strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
PIECE = 512  # characters of a run that are cut together; there is hardly a longer one without a mark between


class Cuts:
    """The likeliest cut of every run, by the scores of words: `hone.text.segmenters.lexicon.Lexicon`. A run of more
    than `PIECE` characters is cut in pieces of so many, counted from its end.

    Args:
        inside: Whether a place is within a run, bool [places]; runs stand apart, and none is at either end.
        numbers: Of each length of words from 1 on, the number of the stretch that begins at each place, -1 where none
            does, int64 [places].
    """

    def __init__(self, inside: NDArray[np.bool_], numbers: Sequence[IntArray]) -> None:
        places = np.arange(len(inside))
        ends = np.flatnonzero(inside[:-1] & ~inside[1:])
        after = np.searchsorted(ends, places[inside])
        self._left = np.zeros(len(inside), dtype=np.int64)  # characters of a piece from here on, this one too
        self._left[inside] = (ends[after] - places[inside]) % PIECE + 1
        order = np.argsort(self._left, kind="stable")
        self._groups = np.split(order, np.cumsum(np.bincount(self._left)))[1:-1]  # places with 1 left, with 2, ...
        begins = inside.copy()
        begins[1:] &= self._left[:-1] <= 1
        self._begins = np.flatnonzero(begins)
        self._numbers = numbers

    def count(self, scores: Sequence[FloatArray]) -> list[IntArray]:
        """How often each stretch is a word of the likeliest cut.

        Args:
            scores: Of each length of words the score of each stretch, minus infinity where it is no word; of a single
                character always a number.
        """
        lengths = self._lengths(scores)
        begins = np.zeros(len(lengths), dtype=bool)
        here = self._begins
        while len(here):
            begins[here] = True
            word = lengths[here]
            here = (here + word)[self._left[here] > word]
        return [
            np.bincount(numbers[begins & (lengths == length)], minlength=len(score))
            for length, (numbers, score) in enumerate(zip(self._numbers, scores, strict=True), start=1)
        ]

    def _lengths(self, scores: Sequence[FloatArray]) -> IntArray:
        """Of the best word that begins at each place its length, int64 [places]; of equally good cuts the one with the
        longer word."""
        known = [np.append(score, -np.inf) for score in scores]  # the last one is that of -1
        best = np.zeros(len(self._left) + len(scores))  # what lies beyond a piece is not known yet: 0
        lengths = np.zeros(len(self._left), dtype=np.int64)
        for left, places in enumerate(self._groups, start=1):
            found = known[0][self._numbers[0][places]] + best[places + 1]
            length = np.ones(len(places), dtype=np.int64)
            for more in range(2, min(len(scores), left) + 1):
                score = known[more - 1][self._numbers[more - 1][places]] + best[places + more]
                better = score >= found
                found, length = np.where(better, score, found), np.where(better, more, length)
            best[places], lengths[places] = found, length
        return lengths

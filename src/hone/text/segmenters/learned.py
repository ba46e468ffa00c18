"""``learned``: a lexicon from the texts themselves, without a dictionary.

A run of characters is a word where it comes oftener than its parts would meet by chance (cohesion: the least pointwise
mutual information over the ways to part it in two) and where many different characters stand on either side of it
(freedom: the lesser of the entropies of its left and right neighbors), as in Sun et al. (1998) and in Jin and
Tanaka-Ishii (2006). How often each is one is then counted in the texts as they are cut by what is known so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hone.core.settings import Settings
from hone.text.segmenters.counting import Cuts, FloatArray, IntArray
from hone.text.segmenters.lexicon import Lexicon
from hone.text.segmenters.segmenter import SegmenterEntry, runs

BITS = 17  # of a character's number: there are fewer than 2 ** 17 Han characters
ROUNDS = 3  # of cutting and counting
READ = 5_000_000  # characters that are learned from


class LearnedSettings(Settings):
    """Settings of ``learned``.

    Attributes:
        longest: Characters of a word at most.
        min_frequency: How often a word comes at least.
        cohesion: In nats, at least.
        freedom: In nats, at least.
    """

    longest: Annotated[int, Field(ge=2, le=8)] = 4
    min_frequency: Annotated[int, Field(ge=2)] = 5
    cohesion: Annotated[float, Field(ge=0)] = 3.0
    freedom: Annotated[float, Field(ge=0)] = 1.0


class _Grams(NamedTuple):
    """The runs of one length: the number of that which begins at each place, -1 where none does, int64 [places]; how
    often each comes and the first place where, int64 [runs]."""

    numbers: IntArray
    counts: IntArray
    first: IntArray


def learn(settings: LearnedSettings, texts: Iterable[str]) -> Lexicon:
    """A lexicon of the words of Chinese texts; every character is in it."""
    read = "\n".join(["", *_some(texts, READ), ""])
    alphabet, places = np.unique(np.array(list(read)), return_inverse=True)
    edge = int(np.searchsorted(alphabet, "\n"))
    codes = np.where(places == edge, 0, places + 1).astype(np.int64)  # 0 stands between runs
    grams = [_grams(codes, None, 1)]
    counts = [grams[0].counts.astype(np.float64)]
    for length in range(2, settings.longest + 1):
        grams.append(_grams(codes, grams[-1], length))
        counts.append(np.where(_words(codes, grams, settings), grams[-1].counts, 0.0))
    return _lexicon(read, grams, _counted(codes, grams, counts))


def _some(texts: Iterable[str], most: int) -> Iterable[str]:
    """Runs of the texts until there are so many characters."""
    size = 0
    for text in texts:
        for _, run in runs(text):
            yield run
            size += len(run)
            if size >= most:
                return


def _grams(codes: IntArray, shorter: _Grams | None, length: int) -> _Grams:
    here = np.flatnonzero(codes if shorter is None else shorter.numbers >= 0)
    here = here[: np.searchsorted(here, len(codes) - length + 1)]
    if shorter is None:
        keys = codes[here]
    else:
        last = codes[here + length - 1]
        here, last = here[last > 0], last[last > 0]
        keys = (shorter.numbers[here] << BITS) | last
    _, first, numbers, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    out = np.full(len(codes), -1, dtype=np.int64)
    out[here] = numbers
    return _Grams(out, counts, here[first] if len(here) else here)


def _words(codes: IntArray, grams: list[_Grams], settings: LearnedSettings) -> NDArray[np.bool_]:
    """Which of the longest runs are words, a boolean each."""
    here, length = grams[-1], len(grams)
    found = here.counts >= settings.min_frequency
    total = float(grams[0].counts.sum())
    for part in range(1, length):
        left = grams[part - 1].counts[grams[part - 1].numbers[here.first]]
        rest = grams[length - part - 1]
        right = rest.counts[rest.numbers[here.first + part]]
        found &= np.log(here.counts * total / (left * right.astype(np.float64))) >= settings.cohesion
    at = np.flatnonzero(here.numbers >= 0)
    at = at[found[here.numbers[at]]]
    for neighbor in (codes[at - 1], codes[at + length]):
        found &= _entropies(here.numbers[at], neighbor, size=len(found)) >= settings.freedom
    return found


def _entropies(numbers: IntArray, neighbors: IntArray, *, size: int) -> FloatArray:
    """Of each run the entropy of its neighbors, in nats, float64 [size]. Where it stands at an edge any character might
    have followed: each edge counts as another neighbor."""
    inner = neighbors > 0
    pairs, counts = np.unique((numbers[inner] << BITS) | neighbors[inner], return_counts=True)
    spent = np.bincount(pairs >> BITS, weights=counts * np.log(counts), minlength=size)
    total = np.bincount(numbers, minlength=size).astype(np.float64)
    found: FloatArray = np.log(np.maximum(total, 1)) - spent / np.maximum(total, 1)
    return found


def _counted(codes: IntArray, grams: Sequence[_Grams], counts: Sequence[FloatArray]) -> list[FloatArray]:
    """How often each run is a word where the texts are cut by what is known so far, by length: of ``counts``, how often
    each would be one, 0 where it is none. All texts are cut, for in some of them a rare word would not come at all."""
    cuts, known = Cuts(codes > 0, [each.numbers for each in grams]), list(counts)
    for _ in range(ROUNDS):
        total = math.log(math.fsum(count for each in known for count in each[each > 0].tolist()) or 1.0)
        with np.errstate(divide="ignore"):  # no word: minus infinity
            scores = [np.log(each) - total for each in known]
        known = [found.astype(np.float64) for found in cuts.count(scores)]
        known[0] += 1.0  # every character stays one
    return known


def _lexicon(read: str, grams: Sequence[_Grams], counts: Sequence[FloatArray]) -> Lexicon:
    found: dict[str, float] = {}
    for length, (each, many) in enumerate(zip(grams, counts, strict=True), start=1):
        words = many > 0
        for at, count in zip(each.first[words].tolist(), many[words].tolist(), strict=True):
            found[read[at : at + length]] = count
    return Lexicon(found)


LEARNED = SegmenterEntry(LearnedSettings, learn)

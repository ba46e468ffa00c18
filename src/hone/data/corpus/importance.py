"""Importance resampling for a target domain by hashed n-grams (DSIR; Xie et al. 2023).

What a text is taken for is how often each of so many buckets comes among its words and pairs of neighboring words,
hashed. A document's importance is the likelihood ratio of the target and of the corpus, buckets taken to be
independent; documents are drawn by it without replacement.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hone.text.words import split_words

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
TEXTS_AT_ONCE = 256  # that are counted together: to add up all buckets takes longer than to hash a short text
PAIR, MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class Features:
    """How texts are counted.

    Attributes:
        buckets: That n-grams are hashed into.
        ngrams: Most words of an n-gram.
    """

    buckets: int
    ngrams: int

    def of(self, text: str) -> IntArray:
        """The bucket of each n-gram of a text, case aside, int64 [n-grams]. A Chinese character is a word."""
        text = text.casefold()
        words = [zlib.crc32(text[begin:end].encode("utf-8", "surrogatepass")) for begin, end in split_words(text)]
        run = last = np.array(words, dtype=np.uint64)
        found = [self._placed(run)]
        for _ in range(1, min(self.ngrams, len(words))):
            run = (run[:-1] * PAIR) ^ last[len(last) - len(run) + 1 :]
            found.append(self._placed(run))
        return np.concatenate(found)

    def counts(self, texts: Iterable[str]) -> FloatArray:
        """How often each bucket comes, float64 [buckets]."""
        found = np.zeros(self.buckets)
        every = map(self.of, texts)
        while some := list(itertools.islice(every, TEXTS_AT_ONCE)):
            found += np.bincount(np.concatenate(some), minlength=self.buckets)
        return found

    def _placed(self, hashes: NDArray[np.uint64]) -> IntArray:
        mixed = (hashes ^ (hashes >> np.uint64(30))) * MIX
        return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(self.buckets)).astype(np.int64)


def shares(counts: FloatArray, *, prior: FloatArray | None = None) -> FloatArray:
    """Probabilities of buckets that came so often, none of them 0, float64 [buckets]: as if each had come once more, or
    as often as ``prior`` has it where it is given."""
    more = np.ones(len(counts)) if prior is None else prior * len(counts)
    found: FloatArray = (counts + more) / (counts.sum() + len(counts))
    return found


def divergence(one: FloatArray, other: FloatArray) -> float:
    """Kullback-Leibler divergence of probabilities, in nats."""
    return float((one * np.log(one / other)).sum())


def gumbel_top(weights: FloatArray, count: int, *, rng: np.random.Generator) -> IntArray:
    """So many different numbers, ascending, drawn one after another by what the rest weigh: the largest log weights
    after Gumbel noise (Kool et al. 2019).

    Args:
        weights: Their logarithms.
    """
    keys = weights + rng.gumbel(size=len(weights))
    return np.sort(np.argpartition(-keys, count - 1)[:count]) if count else np.zeros(0, dtype=np.int64)


def effective_size(weights: FloatArray) -> float:
    """How many equally weighed draws tell as much, ``(sum w) ** 2 / sum w ** 2`` (Kish 1965).

    Args:
        weights: Their logarithms.
    """
    shifted = np.exp(weights - weights.max(initial=-np.inf))
    return float(shifted.sum() ** 2 / (shifted**2).sum())

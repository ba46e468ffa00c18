"""Texts by the words they share with a query: BM25 (Robertson and Zaragoza 2009) over inverted lists.

What a word adds to a text's score is worked out when the index is made: a search only sums.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hone.core.disk import reserve
from hone.retrieval.arrays import mapped
from hone.retrieval.exact import IntArray, Vectors, largest
from hone.text.terms import terms

TERMS_FILE, STARTS_FILE, ROWS_FILE, WEIGHTS_FILE = "terms.txt", "terms.starts", "terms.rows", "terms.weights"
FILES = (TERMS_FILE, STARTS_FILE, ROWS_FILE, WEIGHTS_FILE)
FUSION = 60  # ranks that differ far down count for next to nothing
SPILLED = 1 << 20  # counts that are held in memory before they are written out


class WordsWriter:
    """Counts the terms of texts, one after another, and writes the lists at the end. Memory is that of the vocabulary
    and of a number a text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: dict[str, int] = {}
        self._lengths = array("i")
        self._counts = array("i")  # term, row, how often, term, row, ...
        self._spill = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in `finish`

    def add(self, texts: Iterable[str]) -> None:
        """The next texts."""
        for text in texts:
            found = Counter(term.name for term in terms(text))
            row = len(self._lengths)
            self._lengths.append(found.total())
            for name, count in found.items():
                self._counts.extend((self._ids.setdefault(name, len(self._ids)), row, count))
            if len(self._counts) > 3 * SPILLED:
                self._flush()

    def _flush(self) -> None:
        self._spill.write(self._counts.tobytes())
        del self._counts[:]

    def _spilled(self) -> Iterator[NDArray[np.int32]]:
        """What was written out, [counts, 3], some at a time; read and not mapped, so that what is done with is gone."""
        self._spill.seek(0)
        while len(part := np.fromfile(self._spill, dtype=np.int32, count=3 * SPILLED)):
            yield part.reshape(-1, 3)

    def finish(self, *, k1: float, b: float) -> None:
        """Write the lists: for each term its rows, rising, and what it adds to the score of each.

        Raises:
            OSError: The disk has no room for them.
        """
        self._flush()
        self._spill.flush()
        rows_with = np.zeros(len(self._ids), dtype=np.int64)
        for part in self._spilled():
            rows_with += np.bincount(part[:, 0], minlength=len(rows_with))
        starts = np.concatenate([[0], np.cumsum(rows_with)]).astype(np.int64)
        lengths = np.asarray(self._lengths, dtype=np.float64)
        rarity = np.log1p((len(lengths) - rows_with + 0.5) / (rows_with + 0.5))
        less = k1 * (1 - b + b * lengths / max(lengths.mean() if len(lengths) else 0.0, 1e-12))
        rows = _zeros(self._folder / ROWS_FILE, np.int32, int(starts[-1]))
        weights = _zeros(self._folder / WEIGHTS_FILE, np.float32, int(starts[-1]))
        place = starts[:-1].copy()
        for part in self._spilled():
            term, row, count = part[np.argsort(part[:, 0], kind="stable")].T
            first = np.flatnonzero(np.diff(term, prepend=-1))
            each = np.diff(first, append=len(term))
            into = place[term] + np.arange(len(term)) - np.repeat(first, each)
            rows[into] = row
            weights[into] = rarity[term] * count * (k1 + 1) / (count + less[row])
            place[term[first]] += each
        for made in (rows, weights):
            if isinstance(made, np.memmap):
                made.flush()
        (self._folder / TERMS_FILE).write_text("\n".join(self._ids), encoding="utf-8", newline="")
        (self._folder / STARTS_FILE).write_bytes(starts.tobytes())
        self._spill.close()


class Words:
    """The lists that a `WordsWriter` wrote, over ``count`` texts."""

    def __init__(self, folder: Path, *, count: int) -> None:
        names = (folder / TERMS_FILE).read_text(encoding="utf-8")
        self._ids = {name: i for i, name in enumerate(names.split("\n") if names else [])}
        self._starts = mapped(folder / STARTS_FILE, np.int64)
        self._rows = mapped(folder / ROWS_FILE, np.int32)
        self._weights = mapped(folder / WEIGHTS_FILE, np.float32)
        self._count = count

    def nearest(self, query: str, *, k: int) -> tuple[IntArray, Vectors]:
        """Rows of the ``k`` texts that score highest, falling, and the scores: int64 and float32 [at most k]. Texts
        that share no word with the query are none of them. Of equal ones the earlier row comes first."""
        scores = np.zeros(self._count, dtype=np.float32)
        for name, often in Counter(term.name for term in terms(query)).items():
            if name in self._ids:
                begin, end = self._starts[self._ids[name] : self._ids[name] + 2]
                scores[self._rows[begin:end]] += often * self._weights[begin:end]
        there = np.flatnonzero(scores)
        best = there[largest(scores[None, there], k=k)[0]] if len(there) else there
        return best, scores[best]


def fused(rankings: Sequence[IntArray], *, k: int) -> tuple[IntArray, Vectors]:
    """Reciprocal rank fusion (Cormack et al. 2009): the ``k`` rows of the largest sums of ``1 / (60 + rank)`` over the
    rankings that have them, and the sums. Of equal ones the earlier row comes first."""
    rows = np.unique(np.concatenate(rankings))
    sums = np.zeros(len(rows), dtype=np.float32)
    for ranking in rankings:
        sums[np.searchsorted(rows, ranking)] += 1 / (FUSION + 1 + np.arange(len(ranking), dtype=np.float32))
    best = largest(sums[None], k=k)[0] if len(rows) else np.zeros(0, dtype=np.int64)
    return rows[best], sums[best]


def _zeros(file: Path, dtype: DTypeLike, count: int) -> NDArray[Any]:
    """An array in a new file, which the disk has room for."""
    if not count:
        file.touch()
        return np.zeros(0, dtype=dtype)
    with file.open("w+b") as empty:
        reserve(empty, count * np.dtype(dtype).itemsize)
        return np.memmap(empty, dtype=dtype, mode="r+", shape=(count,))

"""The nearest vectors by way of a graph of neighbors (HNSW), which usearch builds and walks.

The graph keeps vectors in eight bits and finds more of them than are asked for; those are then ranked by the vectors as
they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.core.errors import MissingExtra
from hone.retrieval.exact import IntArray, Vectors, largest, nearest
from hone.retrieval.settings import IndexSettings

GRAPH_FILE = "graph.usearch"
CANDIDATES = 4  # times as many as are asked for are found by the graph
FEWEST_CANDIDATES = 64


def build_graph(
    parts: Iterable[NDArray[np.floating]], file: Path, *, settings: IndexSettings, done: Callable[[int], None]
) -> None:
    """Write the graph over the vectors of ``parts``, at least one, each [rows, width]. One thread adds them in their
    order, so that the same vectors give the same file. The graph is held in memory until it is written: of each vector
    its numbers in eight bits and its neighbors."""
    index: Any = None
    at = 0
    for part in parts:
        if index is None:
            index = _usearch().Index(
                ndim=part.shape[1],
                metric="cos",
                dtype="i8",
                connectivity=settings.connectivity,
                expansion_add=settings.expansion_add,
            )
        keys = np.arange(at, at + len(part), dtype=np.uint64)
        index.add(keys, np.asarray(part, dtype=np.float32), threads=1)
        at += len(part)
        done(len(part))
    index.save(str(file))


def require_graph() -> None:
    """Raise unless graphs can be built and walked.

    Raises:
        MissingExtra: usearch is not installed.
    """
    _usearch()


class Graph:
    """A graph that was written, read through a memory map."""

    def __init__(self, file: Path) -> None:
        self._index = _usearch().Index.restore(str(file), view=True)

    def nearest(self, queries: Vectors, vectors: NDArray[np.floating], *, k: int) -> tuple[IntArray, Vectors]:
        """As `hone.retrieval.exact.nearest`, but for what the graph misses; a query from which it leads to too few
        vectors is answered by looking at all of them."""
        count = min(len(vectors), max(CANDIDATES * k, FEWEST_CANDIDATES))
        self._index.expansion_search = count
        found = self._index.search(queries, count, threads=1)
        each = [found] if len(queries) == 1 else [found[i] for i in range(len(queries))]
        answers = [
            _ranked(query, np.sort(matches.keys.astype(np.int64)), vectors, k=k)
            if len(matches.keys) == count
            else nearest(query[None], vectors, k=k)
            for query, matches in zip(queries, each, strict=True)
        ]
        return np.concatenate([rows for rows, _ in answers]), np.concatenate([scores for _, scores in answers])


def _ranked(query: Vectors, near: IntArray, vectors: NDArray[np.floating], *, k: int) -> tuple[IntArray, Vectors]:
    """The nearest of the rows ``near``, as `hone.retrieval.exact.nearest` has them of all: [1, k] each."""
    products = np.asarray(vectors[near], dtype=np.float32) @ query
    best = largest(products[None], k=k)[0]
    return near[best][None], products[best][None]


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise MissingExtra("usearch", extra="search", needed_for="hnsw") from error
    return usearch.index

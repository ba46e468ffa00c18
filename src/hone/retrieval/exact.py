"""The nearest vectors by looking at all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 16_384
QUERIES_AT_ONCE = 256
Vectors = NDArray[np.float32]
IntArray = NDArray[np.int64]


def nearest(queries: Vectors, vectors: NDArray[np.floating], *, k: int) -> tuple[IntArray, Vectors]:
    """Rows of the ``k`` largest products with each query, falling, and the products: int64 and float32 [queries, k].
    Of equal ones the earlier row comes first.

    Args:
        queries: float32 [queries, width].
        vectors: float32 or float16 [n, width], n at least k; read in blocks.
    """
    parts = [
        _nearest(queries[at : at + QUERIES_AT_ONCE], vectors, k=k) for at in range(0, len(queries), QUERIES_AT_ONCE)
    ]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])


def _nearest(queries: Vectors, vectors: NDArray[np.floating], *, k: int) -> tuple[IntArray, Vectors]:
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    scores = np.zeros((len(queries), 0), dtype=np.float32)
    for at in range(0, len(vectors), ROWS_AT_ONCE):
        near = queries @ np.asarray(vectors[at : at + ROWS_AT_ONCE], dtype=np.float32).T
        picked = largest(near, k=k)
        rows = np.concatenate([rows, picked + at], axis=1)
        scores = np.concatenate([scores, np.take_along_axis(near, picked, axis=1)], axis=1)
        best = largest(scores, k=k)
        rows, scores = np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)
    return rows, scores


def largest(scores: Vectors, *, k: int) -> IntArray:
    """Places of the ``k`` largest numbers of each row, or of all where there are fewer, falling; of equal ones the
    first. int64 [rows, at most k]."""
    count = scores.shape[1]
    if count > 4 * k:
        edge = np.partition(scores, count - k, axis=1)[:, count - k]  # the k-th largest
        return np.stack([_largest_of(row, low, k=k) for row, low in zip(scores, edge, strict=True)])
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def _largest_of(row: Vectors, low: np.float32, *, k: int) -> IntArray:
    there = np.flatnonzero(row >= low)
    return there[np.argsort(-row[there], kind="stable")[:k]]

"""How well texts find what belongs to them: ranks, and the measures of ranks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
QUERIES_AT_ONCE = 256
NEAR_AT_ONCE = 1 << 24  # of pairs and passages


def ranks(
    queries: NDArray[np.floating], passages: NDArray[np.floating], *, asks: IntArray, own: IntArray
) -> tuple[IntArray, IntArray]:
    """Rank, from 1, of each pair's passage for its query: how many other passages are at least as near by dot product,
    those left out that belong to the same query in another pair; and which passage is first. Both int64 [pairs].

    Args:
        queries: [queries, width], rows that differ.
        passages: [passages, width], rows that differ.
        asks, own: Query and passage of each pair, int64 [pairs].
    """
    out, first = np.zeros(len(asks), dtype=np.int64), own.copy()
    order = np.argsort(asks, kind="stable")
    for at in range(0, len(queries), QUERIES_AT_ONCE):
        near = queries[at : at + QUERIES_AT_ONCE] @ passages.T  # [part, passages]
        begin, end = np.searchsorted(asks[order], (at, at + len(near)))
        pairs = order[begin:end]
        row = asks[pairs] - at
        reached = near[row, own[pairs]]
        near[row, own[pairs]] = -np.inf  # what belongs to a query stands in no other answer's way
        nearest, few = near.argmax(axis=1), max(1, NEAR_AT_ONCE // len(passages))
        for start in range(0, len(pairs), few):  # a query may have any number of passages of its own
            some = slice(start, start + few)
            out[pairs[some]] = 1 + (near[row[some]] >= reached[some, None]).sum(axis=1)
        first[pairs] = np.where(out[pairs] > 1, nearest[row], own[pairs])
    return out, first


def label_ranks(vectors: NDArray[np.floating], labels: IntArray) -> tuple[FloatArray, IntArray]:
    """Rank, from 1, of the nearest other row of the same label for each row: how many rows of other labels are at least
    as near by dot product; nan where it is the only one of its label, float64 [rows]. And the nearest row of another
    label, itself where there is none, int64 [rows].

    Args:
        vectors: [rows, width].
        labels: int64 [rows].
    """
    out, nearest = np.full(len(vectors), np.nan), np.arange(len(vectors))
    for at in range(0, len(vectors), QUERIES_AT_ONCE):
        row = np.arange(at, min(at + QUERIES_AT_ONCE, len(vectors)))
        near = vectors[row] @ vectors.T  # [part, rows]
        same = labels[row, None] == labels
        others = np.where(same, -np.inf, near)
        same[row - at, row] = False
        reached = np.where(same, near, -np.inf).max(axis=1)
        out[row] = np.where(same.any(axis=1), 1 + (others >= reached[:, None]).sum(axis=1), np.nan)
        nearest[row] = np.where(np.isfinite(others.max(axis=1)), others.argmax(axis=1), row)
    return out, nearest


def recall_at(ranked: NDArray[np.number], k: int) -> float | None:
    """Share of ranks of at most ``k``; None of none."""
    return float(np.mean(ranked <= k)) if len(ranked) else None


def mean_reciprocal_rank(ranked: NDArray[np.number]) -> float | None:
    """Mean of ``1 / rank``; None of none."""
    return float(np.mean(1 / ranked)) if len(ranked) else None


def ndcg_at(ranked: NDArray[np.number], k: int) -> float | None:
    """Normalized discounted cumulative gain of one right passage a query (Järvelin and Kekäläinen 2002): the mean of
    ``1 / log2(1 + rank)`` up to rank ``k``, beyond it nothing; None of none."""
    return float(np.mean(np.where(ranked <= k, 1 / np.log2(1 + ranked), 0.0))) if len(ranked) else None


def graded_ndcg_at(relevant: NDArray[np.bool_], possible: IntArray, k: int) -> FloatArray:
    """The same of queries to which many passages are right, float64 [queries].

    Args:
        relevant: Whether each answer is right, in their order, bool [queries, answers].
        possible: How many passages are right, int64 [queries].
    """
    gains = 1 / np.log2(2 + np.arange(k))
    found = relevant[:, :k] @ gains[: relevant.shape[1]]
    best = np.concatenate([[0.0], np.cumsum(gains)])[np.minimum(possible, k)]
    share: FloatArray = np.divide(found, best, out=np.zeros_like(found), where=best > 0)
    return share

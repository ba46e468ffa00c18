"""Nearest vectors in blocks are those of one product over all."""

from __future__ import annotations

import numpy as np
import pytest

import hone.retrieval.exact as exact
from hone.retrieval.exact import largest, nearest


@pytest.mark.parametrize("k", [1, 7, 60, 100])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_blocks_give_what_the_whole_gives(k: int, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "ROWS_AT_ONCE", 32)
    monkeypatch.setattr(exact, "QUERIES_AT_ONCE", 4)
    rng = np.random.default_rng(0)
    queries, vectors = rng.normal(size=(9, 8)).astype(np.float32), rng.normal(size=(100, 8)).astype(precision)
    rows, scores = nearest(queries, vectors, k=k)
    products = queries @ vectors.astype(np.float32).T
    assert np.array_equal(rows, np.argsort(-products, axis=1, kind="stable")[:, :k])
    assert np.allclose(scores, -np.sort(-products, axis=1)[:, :k], atol=1e-5)


def test_of_equal_scores_the_earlier_row_comes_first() -> None:
    vectors = np.ones((50, 2), dtype=np.float32)
    rows, _ = nearest(np.ones((1, 2), dtype=np.float32), vectors, k=5)
    assert rows.tolist() == [[0, 1, 2, 3, 4]]


def test_the_largest_of_few_are_all_of_them() -> None:
    assert largest(np.array([[1.0, 3.0, 2.0]], dtype=np.float32), k=9).tolist() == [[1, 2, 0]]

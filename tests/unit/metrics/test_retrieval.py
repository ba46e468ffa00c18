"""Ranks among all passages, and the measures of ranks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from hone.metrics.retrieval import graded_ndcg_at, label_ranks, mean_reciprocal_rank, ndcg_at, ranks, recall_at


def test_a_rank_counts_what_is_at_least_as_near() -> None:
    passages = np.eye(4)
    queries = np.array([[0.9, 0.5, 0.1, 0.2], [0.1, 0.3, 0.3, 0.0]])
    found, first = ranks(queries, passages, asks=np.array([0, 0, 1]), own=np.array([0, 3, 2]))
    assert first.tolist() == [0, 1, 1]
    assert found.tolist() == [1, 2, 2]  # the first query's other passage stands in no way; an equal one does


def test_ranks_of_many_queries_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(0)
    queries, passages = rng.normal(size=(600, 8)), rng.normal(size=(50, 8))
    own = rng.integers(0, 50, 600)
    found, first = ranks(queries, passages, asks=np.arange(600), own=own)
    scores = queries @ passages.T
    alone = [1 + int(np.delete(row >= row[o], o).sum()) for row, o in zip(scores, own, strict=True)]
    assert found.tolist() == alone
    assert first.tolist() == (queries @ passages.T).argmax(axis=1).tolist()


def test_measures_of_ranks() -> None:
    ranked = np.array([1, 2, 4, 11])
    assert recall_at(ranked, 10) == 0.75
    assert mean_reciprocal_rank(ranked) == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 11) / 4)
    assert ndcg_at(ranked, 10) == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(5)) / 4)


def test_of_no_ranks_nothing_is_said() -> None:
    none = np.zeros(0)
    assert recall_at(none, 1) is mean_reciprocal_rank(none) is ndcg_at(none, 10) is None


def test_ndcg_of_many_right_passages_is_that_of_scikit_learn() -> None:
    relevant = np.random.default_rng(4).random((5, 30)) < 0.3
    falling = np.broadcast_to(-np.arange(30.0), relevant.shape)
    expected = [ndcg_score(row[None], order[None], k=10) for row, order in zip(relevant, falling, strict=True)]
    assert graded_ndcg_at(relevant, relevant.sum(1), 10) == pytest.approx(expected)


def test_the_nearest_text_of_a_label_is_ranked_among_those_of_others() -> None:
    rng = np.random.default_rng(1)
    vectors, labels = rng.normal(size=(300, 6)), rng.integers(0, 40, 300)
    labels[7] = 99
    found, nearest = label_ranks(vectors, labels)
    near = vectors @ vectors.T
    for row in range(300):
        same = [i for i in range(300) if labels[i] == labels[row] and i != row]
        others = [i for i in range(300) if labels[i] != labels[row]]
        assert nearest[row] == max(others, key=lambda i: near[row, i])
        expected = 1 + sum(near[row, i] >= near[row, same].max() for i in others) if same else np.nan
        assert found[row] == pytest.approx(expected, nan_ok=True)


def test_where_all_have_one_label_each_comes_first() -> None:
    found, nearest = label_ranks(np.eye(3), np.zeros(3, dtype=np.int64))
    assert found.tolist() == [1, 1, 1]
    assert nearest.tolist() == [0, 1, 2]


def test_any_number_of_passages_of_one_query_is_ranked_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    queries, passages = rng.normal(size=(3, 6)), rng.normal(size=(90, 6))
    given = {"asks": np.repeat([0, 1, 2], [70, 1, 19]), "own": rng.permutation(90)}
    whole = ranks(queries, passages, **given)
    monkeypatch.setattr("hone.metrics.retrieval.NEAR_AT_ONCE", 7 * 90)
    parts = ranks(queries, passages, **given)
    assert [one.tolist() for one in parts] == [one.tolist() for one in whole]
    tracemalloc.start()
    ranks(rng.normal(size=(1, 6)), rng.normal(size=(4000, 6)), asks=np.zeros(4000, dtype=np.int64), own=np.arange(4000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4000 * 4000

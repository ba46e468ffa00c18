"""The graph finds nearly all of what looking at everything finds, and is the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from usearch.index import BatchMatches

from hone.retrieval.exact import nearest
from hone.retrieval.graph import Graph, build_graph
from hone.retrieval.settings import IndexSettings
from hone.tasks.embedding import unit

RNG = np.random.default_rng(0)
VECTORS = unit(RNG.normal(size=(2000, 16)).astype(np.float32))
QUERIES = unit(RNG.normal(size=(50, 16)).astype(np.float32))


def graph(file: Path) -> Graph:
    done: list[int] = []
    build_graph([VECTORS[:1500], VECTORS[1500:]], file, settings=IndexSettings(hnsw=True), done=done.append)
    assert sum(done) == len(VECTORS)
    return Graph(file)


def test_the_graph_misses_little_and_its_scores_are_exact(tmp_path: Path) -> None:
    rows, scores = graph(tmp_path / "one").nearest(QUERIES, VECTORS, k=10)
    expected, _ = nearest(QUERIES, VECTORS, k=10)
    shared = [len(set(a) & set(b)) for a, b in zip(rows.tolist(), expected.tolist(), strict=True)]
    assert np.mean(shared) > 9.5
    assert np.allclose(scores, np.einsum("qd,qkd->qk", QUERIES, VECTORS[rows]), atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_one_query_over_few_vectors_is_answered_in_full(tmp_path: Path) -> None:
    build_graph([VECTORS[:5]], tmp_path / "few", settings=IndexSettings(hnsw=True), done=lambda count: None)
    rows, _ = Graph(tmp_path / "few").nearest(QUERIES[:1], VECTORS[:5], k=5)
    assert sorted(rows[0].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("asked", [1, 3])
def test_a_query_of_which_the_graph_finds_too_few_is_answered_by_looking_at_all(tmp_path: Path, asked: int) -> None:
    class Short:
        """The first query reaches three vectors; the rest of its keys is not set, and is no row."""

        def search(self, queries: Any, count: int, *, threads: int) -> Any:
            keys, _ = nearest(queries, VECTORS, k=count)
            keys[0, 3:] = 1 << 62
            counts = np.array([3, *[count] * (len(queries) - 1)])
            found = BatchMatches(keys.astype(np.uint64), np.zeros(keys.shape, np.float32), counts)
            return found[0] if len(queries) == 1 else found  # as usearch does

    one = graph(tmp_path / "one")
    one._index = Short()
    rows, scores = one.nearest(QUERIES[:asked], VECTORS, k=10)
    expected, products = nearest(QUERIES[:asked], VECTORS, k=10)
    assert rows.tolist() == expected.tolist()
    assert np.allclose(scores, products, atol=1e-6)


def test_the_same_vectors_give_the_same_file(tmp_path: Path) -> None:
    graph(tmp_path / "one")
    graph(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()

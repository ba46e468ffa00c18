"""Laws of the stream: every document once an epoch whatever the buffer, a resumed stream is the unbroken one, streams
of several ranks share the documents, mixtures keep their shares, and memory does not grow with the corpus."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.core.errors import DataError
from hone.data.corpus import scan
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.corpus.mixture import Draws, Shares, Sizes
from hone.data.corpus.order import Order
from hone.data.corpus.settings import CorpusSettings

COUNT = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for name, count in (("big", COUNT), ("small", 20)):
        (folder / f"{name}.txt").write_text("\n\n".join(f"{name} {i}" for i in range(count)))
    return folder


def opened(folder: Path, **values: Any) -> Corpus:
    return open_corpus(CorpusSettings(**values), base=folder, cache=folder / "cache")


def mixed(folder: Path, **more: Any) -> Corpus:
    sources = {"big": {"path": "big.txt", **more}, "small": {"path": "small.txt"}}
    return opened(folder, sources=sources, shuffle_buffer=16)


@given(count=st.integers(0, 400), buffer=st.integers(1, 500), seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_order_is_a_permutation(count: int, buffer: int, seed: int) -> None:
    order = Order(count, buffer=buffer, seed=[seed])
    assert sorted(order[i] for i in range(count)) == list(range(count))


def test_every_document_is_as_likely_in_every_place() -> None:
    places = np.array([[order[i] for i in range(12)] for order in (Order(12, buffer=6, seed=[s]) for s in range(1500))])
    counts = np.array([np.bincount(places[:, i], minlength=12) for i in range(12)])
    expected, deviation = 1500 / 12, np.sqrt(1500 / 12 * 11 / 12)
    assert np.abs(counts - expected).max() < 4.5 * deviation


@pytest.mark.parametrize("buffer", [1, 7, 64, 1000])
def test_every_document_comes_once_an_epoch(folder: Path, buffer: int) -> None:
    corpus = opened(folder, path="big.txt", shuffle_buffer=buffer)
    first, second = ([d.text for d in corpus.stream(seed=1, epoch=epoch)] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == sorted(d.text for d in corpus)
    assert first != second != [d.text for d in corpus]


@given(stop=st.integers(0, 330), share=st.sampled_from([None, 0.5]), rank=st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_a_resumed_stream_is_the_unbroken_one(folder: Path, stop: int, share: float | None, rank: int) -> None:
    corpus = mixed(folder, share=share)
    part = {"seed": 5, "epochs": 2, "rank": rank, "world_size": 3}
    whole = [d.text for d in corpus.stream(**part)]
    stream = corpus.stream(**part)
    begun = [d.text for d in itertools.islice(stream, stop)]
    position = json.loads(json.dumps(stream.position))
    assert begun + [d.text for d in corpus.stream(position=position, **part)] == whole


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_documents_without_overlap(folder: Path, world: int) -> None:
    corpus = mixed(folder)
    parts = [[d.text for d in corpus.stream(seed=2, rank=rank, world_size=world)] for rank in range(world)]
    assert sorted(itertools.chain(*parts)) == sorted(d.text for d in corpus)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    interleaved = [text for step in itertools.zip_longest(*parts) for text in step if text is not None]
    assert interleaved == [d.text for d in corpus.stream(seed=2)]


@pytest.mark.parametrize(
    ("change", "said"), [({"seed": 6}, "seed"), ({"world_size": 3}, "world size"), ({"rank": 1}, "rank")]
)
def test_a_position_of_another_stream_is_refused(folder: Path, change: dict[str, int], said: str) -> None:
    corpus = mixed(folder)
    part = {"seed": 5, "rank": 0, "world_size": 2}
    position = corpus.stream(**part).position
    with pytest.raises(DataError, match=said) as caught:
        corpus.stream(position=position, **{**part, **change})
    assert caught.value.code == "data.position"


def test_a_share_is_a_share_of_the_characters(folder: Path) -> None:
    corpus = mixed(folder, share=0.25)
    counts: Counter[str] = Counter()
    for document in corpus.stream(seed=0, epochs=20):
        counts[document.source] += len(document.text)
    assert counts["big"] / counts.total() == pytest.approx(0.25, abs=0.02)


def test_over_epochs_no_document_of_a_source_comes_oftener_than_another_by_more_than_one(folder: Path) -> None:
    corpus = mixed(folder, share=0.3)
    counts = Counter(d.text for d in corpus.stream(seed=0, epochs=7))
    for name in ("big", "small"):
        of = [counts[d.text] for d in corpus if d.source == name]
        assert max(of) - min(of) <= 1


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [0.8, 0.2]), (2.0, [2 / 3, 1 / 3]), (1e9, [0.5, 0.5])])
def test_temperature_brings_small_sources_up(temperature: float, expected: list[float]) -> None:
    shares = Shares.of([Sizes("a", 80, 800), Sizes("b", 20, 200)], [None, None], temperature=temperature)
    assert shares.of_characters == pytest.approx(expected)
    assert shares.documents[0] == 80
    assert shares.passes == pytest.approx([1, expected[1] / expected[0] * 4])


def test_draws_are_a_shuffled_bag_of_sources() -> None:
    firsts = Counter()
    for seed in range(600):
        draws, taken, seen = Draws([1, 2], seed=[seed]), [0, 0], []
        for _ in range(3):
            source = draws.source(taken)
            taken[source] += 1
            seen.append(source)
        assert sorted(seen) == [0, 1, 1]
        firsts[seen.index(0)] += 1
    assert max(abs(count - 200) for count in firsts.values()) < 4.5 * np.sqrt(600 * 2 / 9)


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHARACTERS_AT_ONCE", 1 << 17)

    def peak(paragraphs: int) -> int:
        path = tmp_path / f"{paragraphs}.txt"
        path.write_text("".join(f"{i} {'words and ' * 400}\n\n" for i in range(paragraphs)))
        tracemalloc.start()
        try:
            corpus = opened(tmp_path, path=path.name, shuffle_buffer=64)
            assert sum(1 for _ in corpus.stream(seed=0)) == paragraphs
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is loaded once
    small, large = peak(200), peak(800)  # 0.8 MB and 3.2 MB of text
    assert large < small + 500_000

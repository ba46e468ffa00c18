"""Laws of the order that training reads in: every row once a pass whatever the buffer, shares are kept over epochs, a
training that goes on at any step takes the rows that the unbroken one takes, and memory does not grow with a corpus."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.corpus import scan
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.corpus.mixture import Shares, Sizes, tempered
from hone.data.corpus.settings import CorpusSettings
from hone.data.order import Order
from hone.data.passes import Passes
from hone.tasks.objectives.mixture import mixed
from hone.tasks.rows import ROWS_SCHEMA, Rows, rows_of
from hone.train.epochs import Epochs
from hone.train.pretrain_settings import PretrainSettings

COUNT = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for name, count in (("big", COUNT), ("small", 20)):
        (folder / f"{name}.txt").write_text("\n\n".join(f"{name} {i}" for i in range(count)))
    rows = [{"text": f"text {i:03d}", "lang": "de" if i % 10 == 0 else "en"} for i in range(COUNT)]
    (folder / "kinds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def opened(folder: Path, **values: Any) -> Corpus:
    return open_corpus(CorpusSettings(**values), base=folder, cache=folder / "cache")


def two_sources(folder: Path, **more: Any) -> Corpus:
    sources = {"big": {"path": "big.txt"} | more, "small": {"path": "small.txt"}}
    return opened(folder, sources=sources, shuffle_buffer=16)


def rows_over(corpus: Corpus, pieces: int = 3) -> Rows:
    """Of each document one piece, or up to ``pieces``, a token a character."""
    rng = np.random.default_rng(0)
    example = np.repeat(np.arange(len(corpus)), rng.integers(1, pieces + 1, len(corpus)))
    ids = [[1] * len(corpus.document(row).text) for row in example.tolist()]
    whole = {"example": example, "truncated": [False] * len(ids), "text_tokens": list(map(len, ids)), "input_ids": ids}
    return Rows(pa.Table.from_batches([rows_of(whole, ROWS_SCHEMA)]))


@given(count=st.integers(0, 400), buffer=st.integers(1, 500), seed=st.integers(0, 5), cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_an_order_is_a_permutation_of_which_any_part_is_known(count: int, buffer: int, seed: int, cut: int) -> None:
    order, cut = Order(count, buffer=buffer, seed=[seed]), min(cut, count)
    whole = order.places(0, count)
    assert sorted(whole.tolist()) == list(range(count))
    assert np.array_equal(np.concatenate([order.places(0, cut), order.places(cut, count)]), whole)


def test_every_row_is_as_likely_in_every_place() -> None:
    places = np.array([Order(12, buffer=6, seed=[seed]).places(0, 12) for seed in range(1500)])
    counts = np.array([np.bincount(places[:, i], minlength=12) for i in range(12)])
    expected, deviation = 1500 / 12, np.sqrt(1500 / 12 * 11 / 12)
    assert np.abs(counts - expected).max() < 4.5 * deviation


@pytest.mark.parametrize("buffer", [1, 7, 64, 1000, None])
def test_where_a_quota_is_the_whole_group_every_row_comes_once_an_epoch(buffer: int | None) -> None:
    passes = Passes([np.arange(100), np.arange(100, 130)], [100, 30], seed=1, buffer=buffer)
    epochs = [passes.epoch(number).tolist() for number in range(3)]
    assert all(sorted(rows) == list(range(130)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    quotas=st.lists(st.integers(0, 70), min_size=4, max_size=4),
    epochs=st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_quotas_are_kept_and_no_row_of_a_group_comes_oftener_than_another_by_more_than_one(
    sizes: list[int], quotas: list[int], epochs: int
) -> None:
    groups = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    passes = Passes(groups, quotas[: len(sizes)], seed=3, buffer=8)
    each = [passes.epoch(number) for number in range(epochs)]
    counts = np.bincount(np.concatenate(each), minlength=sum(sizes))
    for group, quota in zip(groups, quotas, strict=False):
        if len(group):
            assert all(np.isin(rows, group).sum() == quota for rows in each)
            assert np.ptp(counts[group]) <= 1
    assert {len(rows) for rows in each} == {len(passes)}


def test_a_source_that_is_read_in_part_shows_another_part_in_each_epoch(folder: Path) -> None:
    corpus = two_sources(folder, share=0.25)
    rows = rows_over(corpus)
    passes = mixed(corpus, rows, seed=5)
    big = [set(rows.example[epoch][rows.example[epoch] < COUNT]) for epoch in map(passes.epoch, range(3))]
    pieces = np.flatnonzero(rows.example < COUNT)
    quota = np.isin(passes.epoch(0), pieces).sum()
    read = np.concatenate([passes.epoch(number) for number in range(len(pieces) // quota)])
    assert len(np.unique(read[np.isin(read, pieces)])) == len(pieces) // quota * quota  # none twice before all once
    assert big[0] != big[1] != big[2]


def test_a_share_is_a_share_of_the_tokens(folder: Path) -> None:
    corpus = two_sources(folder, share=0.25)
    rows = rows_over(corpus, pieces=1)
    taken = np.concatenate([mixed(corpus, rows, seed=0).epoch(number) for number in range(20)])
    tokens = rows.lengths[taken]
    assert tokens[rows.example[taken] < COUNT].sum() / tokens.sum() == pytest.approx(0.25, abs=0.02)


def test_orders_of_groups_are_equally_likely() -> None:
    firsts = Counter(int(np.flatnonzero(Passes([np.array([0]), np.array([1, 2])], [1, 2], seed=seed).epoch(0) == 0)[0])
                     for seed in range(600))  # fmt: skip
    assert len(firsts) == 3
    assert max(abs(count - 200) for count in firsts.values()) < 4.5 * np.sqrt(600 * 2 / 9)


def test_rows_that_are_drawn_one_by_one_are_as_likely_as_an_epoch_has_them() -> None:
    passes = Passes([np.arange(5), np.arange(5, 7), np.zeros(0, dtype=np.int64)], [5, 15, 9], seed=0)
    counts = np.bincount(passes.drawn(4000, rng=np.random.default_rng(1)), minlength=7)
    chance = np.array([1 / 20] * 5 + [7.5 / 20] * 2)
    assert np.all(np.abs(counts - 4000 * chance) < 4.5 * np.sqrt(4000 * chance * (1 - chance)))


@pytest.mark.parametrize("size", [{"per_device_train_batch_tokens": 60}, {"per_device_train_batch_tokens": None}])
@pytest.mark.parametrize("more", [{}, {"share": 0.4}, {"path": "kinds.jsonl", "sampling": {"by": "lang"}}])
def test_a_training_that_goes_on_at_any_step_takes_what_the_unbroken_one_takes(
    folder: Path, more: dict[str, Any], size: dict[str, Any]
) -> None:
    """A killed run goes on without repeating or skipping a document: what it takes is known by the step alone."""
    corpus = two_sources(folder, **more)
    rows = rows_over(corpus)
    chosen = PretrainSettings.model_validate({"gradient_accumulation_steps": 2, "num_train_epochs": 2.5, **size})

    def steps(begin: int) -> list[list[list[int]]]:
        passes = mixed(corpus, rows, seed=4)  # made anew, as another process does
        epochs = Epochs(None, rows, settings=chosen, seed=4, passes=passes)  # type: ignore[arg-type]
        return [[batch.tolist() for batch in batches] for _, batches in epochs.steps(begin)]

    whole = steps(0)
    rng = np.random.default_rng(0)
    assert all(steps(at) == whole[at:] for at in rng.integers(0, len(whole) + 1, 20))
    passes = mixed(corpus, rows, seed=4)
    per_epoch = Epochs(None, rows, settings=chosen, seed=4, passes=passes).per_epoch  # type: ignore[arg-type]
    for number in range(2):
        taken = itertools.chain(*itertools.chain(*whole[number * per_epoch : (number + 1) * per_epoch]))
        assert sorted(taken) == sorted(passes.epoch(number).tolist())


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, [0.8, 0.2]), (2.0, [2 / 3, 1 / 3]), (1e9, [0.5, 0.5])])
def test_temperature_brings_small_sources_up(temperature: float, expected: list[float]) -> None:
    shares = Shares.of([Sizes("a", 80, 800), Sizes("b", 20, 200)], [None, None], temperature=temperature)
    assert shares.of_characters == pytest.approx(expected)
    assert shares.passes == pytest.approx([1, expected[1] / expected[0] * 4])


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_kinds_have_shares_by_their_sizes_to_a_power(power: float) -> None:
    sizes = np.array([1000.0, 400.0, 30.0])
    times = tempered(sizes, power=power, most=1000)
    assert (times * sizes).sum() == pytest.approx(sizes.sum())  # an epoch stays as long as it is
    assert times * sizes / sizes.sum() == pytest.approx(sizes ** (1 - power) / (sizes ** (1 - power)).sum())
    capped = tempered(sizes, power=1.0, most=5)
    assert capped / capped[0] == pytest.approx([1, 2.5, 5])


def test_an_epoch_has_of_each_kind_what_its_size_asks_for(folder: Path) -> None:
    corpus = opened(folder, path="kinds.jsonl", sampling={"by": "lang"}, shuffle_buffer=16)
    rows = rows_over(corpus, pieces=1)
    rare = rows.example[:] % 10 == 0
    passes = mixed(corpus, rows, seed=0)
    assert len(passes) == COUNT
    taken = [passes.epoch(number) for number in range(4)]
    assert {int(rare[rows].sum()) for rows in taken} == {round(COUNT / 4)}  # of 9 to 1, 3 to 1
    often = np.bincount(np.concatenate(taken), minlength=COUNT)
    assert np.ptp(often[rare]) <= 1
    assert np.ptp(often[~rare]) <= 1


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHARACTERS_AT_ONCE", 1 << 17)

    def peak(paragraphs: int) -> int:
        path = tmp_path / f"{paragraphs}.txt"
        path.write_text("".join(f"{i} {'words and ' * 400}\n\n" for i in range(paragraphs)))
        tracemalloc.start()
        try:
            corpus = opened(tmp_path, path=path.name)
            assert sum(1 for _ in corpus) == paragraphs
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is loaded once
    small, large = peak(200), peak(800)  # 0.8 MB and 3.2 MB of text
    assert large < small + 500_000

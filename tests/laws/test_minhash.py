"""MinHash estimates the Jaccard similarity within its standard error; of nearly equal documents the first stays."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from hone.data.corpus import near
from hone.data.corpus.corpus import open_corpus
from hone.data.corpus.minhash import PERMUTATIONS, shingles, signature, similarity
from hone.data.corpus.near import BANDS, ROWS, _kept
from hone.data.corpus.settings import CorpusSettings


@pytest.mark.parametrize("shared", [0, 50, 200, 320, 400])
def test_the_estimate_is_unbiased_and_within_its_standard_error(shared: int) -> None:
    rng = np.random.default_rng(shared)
    size, pairs = 400, 60
    truth = shared / (2 * size - shared)
    found = []
    for _ in range(pairs):
        drawn = rng.choice(1 << 62, size=2 * size - shared, replace=False).astype(np.uint64)
        found.append(float(similarity(signature(drawn[:size]), signature(drawn[size - shared :]))))
    error = np.sqrt(truth * (1 - truth) / PERMUTATIONS)
    assert np.mean(found) == pytest.approx(truth, abs=4 * error / np.sqrt(pairs) + 1e-12)
    assert np.std(found) == pytest.approx(error, rel=0.35, abs=1e-12)


def test_sets_of_shingles_are_those_of_the_characters() -> None:
    text = "红楼梦，红楼梦中人"
    expected = {text.replace("，", ",")[i : i + 3] for i in range(len(text) - 2)}
    assert len(shingles(text, 3)) == len(expected)
    one, other = shingles("abcdef", 3), shingles("xbcdef", 3)
    assert len(np.intersect1d(one, other)) == 3


@pytest.mark.parametrize("other", ["A  Text\nof words", "Ａ text of words", "a text of words "])
def test_case_width_and_white_space_make_no_difference(other: str) -> None:
    assert np.array_equal(shingles("a text of words", 5), shingles(other, 5))


def test_long_texts_are_hashed_in_parts_alike() -> None:
    hashes = np.random.default_rng(0).integers(1 << 63, size=10_000, dtype=np.uint64)
    parts = np.minimum(signature(hashes[:3000]), signature(hashes[3000:]))
    assert np.array_equal(signature(hashes), parts)


def test_of_nearly_equal_documents_the_first_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    words = ["".join(chr(97 + c) for c in rng.integers(26, size=6)) for _ in range(400)]
    texts = [" ".join(rng.choice(words, 60)) for _ in range(12)]
    chinese = "".join(chr(0x4E00 + c) for c in rng.integers(3000, size=200))
    texts += [texts[3] + " more", "UPPER " + texts[7].upper(), chinese, chinese[:-2] + "也。", texts[3] + " again more"]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    settings = CorpusSettings(path="a.txt", parted="lines", duplicates="drop-near")
    for _ in range(2):  # found, then kept
        corpus = open_corpus(settings, base=tmp_path, cache=tmp_path / "cache")
        assert [document.line - 1 for document in corpus] == [*range(12), 14]
        assert [(one.name, one.seen, one.documents) for one in corpus.card.taken] == [
            ("exact_duplicates", 17, 0),
            ("near_duplicates", 17, 4),
        ]


def greedy(signatures: np.ndarray, least: float) -> list[bool]:
    """Which documents stay where each is compared with every earlier one that stays."""
    kept: list[int] = []
    for at, one in enumerate(signatures):
        if not any(similarity(one, signatures[other]) >= least for other in kept):
            kept.append(at)
    return [at in kept for at in range(len(signatures))]


def test_a_document_is_compared_with_others_than_the_first_that_agrees() -> None:
    """Twenty that agree in one band each with both of two nearly equal ones, and stand before them."""
    rng = np.random.default_rng(0)
    pair = np.repeat(rng.integers(1 << 31, size=(1, PERMUTATIONS), dtype=np.uint32), 2, axis=0)
    pair[1, ::ROWS] ^= np.arange(BANDS, dtype=np.uint32) < 3  # three of 120 places differ
    others = rng.integers(1 << 31, size=(BANDS, PERMUTATIONS), dtype=np.uint32)
    for band in range(BANDS):
        others[band, band * ROWS : (band + 1) * ROWS] = pair[1, band * ROWS : (band + 1) * ROWS]
    assert _kept(np.concatenate([others, pair]), 0.8).tolist() == [True] * (BANDS + 1) + [False]


def test_nearly_equal_documents_are_found_with_the_chance_that_banding_promises() -> None:
    """Families of nearly equal documents, all of which share a band, as a notice at the top of every page makes them:
    brute force over all pairs finds the same, but for what no band brings together."""
    rng = np.random.default_rng(5)
    families = rng.integers(1 << 31, size=(60, PERMUTATIONS), dtype=np.uint32)
    signatures = families[rng.integers(60, size=400)]
    signatures = np.where(rng.random(signatures.shape) < 0.06, rng.integers(1 << 31, size=signatures.shape), signatures)
    signatures = signatures.astype(np.uint32)
    signatures[:, 18:24] = 7
    truth = greedy(signatures, 0.8)
    found = _kept(signatures, 0.8).tolist()
    gone = [at for at, stays in enumerate(truth) if not stays]
    assert len(gone) > 250
    assert sum(not found[at] for at in gone) >= 0.99 * len(gone)
    assert sum(not stays for stays in found) <= len(gone) + 4


def test_the_comparisons_of_one_band_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(near, "similarity", lambda one, other: counted.append(len(one)) or np.zeros(len(one)))
    signatures = np.random.default_rng(0).integers(1 << 31, size=(500, PERMUTATIONS), dtype=np.uint32)
    signatures[:, :ROWS] = 7
    near._take(signatures, np.ones(500, dtype=np.bool_), 0, 0.8)
    assert 500 < sum(counted) <= 500 * (near.NEAREST + near.FIRST)


def in_turn(signatures: np.ndarray, least: float) -> list[bool]:
    """Which documents stay, each compared with every one before it that stays and agrees with it in a band."""
    kept = [True] * len(signatures)
    while True:
        before = list(kept)
        for band in range(BANDS):
            rows = [at for at, stays in enumerate(kept) if stays]
            for at in rows:
                own = signatures[at, band * ROWS : (band + 1) * ROWS]
                agree = [one for one in rows if one < at and kept[one]
                         and np.array_equal(signatures[one, band * ROWS : (band + 1) * ROWS], own)]  # fmt: skip
                kept[at] = all(similarity(signatures[at], signatures[one]) < least for one in agree)
        if kept == before:
            return kept


@pytest.mark.parametrize("at_once", [1, 7, near.COMPARED_AT_ONCE])
def test_bands_take_in_turn_what_is_nearly_equal_to_an_earlier_one_that_stays(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of copies, which drift away from the first, so that the order of bands and documents matters."""
    monkeypatch.setattr(near, "COMPARED_AT_ONCE", at_once)
    rng = np.random.default_rng(2)
    signatures = rng.integers(1 << 31, size=(120, PERMUTATIONS), dtype=np.uint32)
    for at in range(8, 120):
        changed = rng.random(PERMUTATIONS) < 0.1
        signatures[at, ~changed] = signatures[at - 8, ~changed]
    expected = in_turn(signatures, 0.8)
    assert 20 < sum(expected) < 100
    assert _kept(signatures, 0.8).tolist() == expected


def test_the_memory_of_nearly_equal_documents_is_a_few_bytes_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "COMPARED_AT_ONCE", 256)
    signatures = np.full((10_000, PERMUTATIONS), 7, dtype=np.uint32)
    tracemalloc.start()
    kept = _kept(signatures, 0.8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept.tolist() == [True] + [False] * (len(signatures) - 1)
    at_once = near.COMPARED_AT_ONCE * (2 * PERMUTATIONS * 4 + (near.NEAREST + near.FIRST) * 300)
    assert peak < 50 * len(signatures) + at_once

"""MinHash estimates the Jaccard similarity within its standard error; of nearly equal documents the first stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hone.data.corpus.corpus import open_corpus
from hone.data.corpus.minhash import PERMUTATIONS, shingles, signature, similarity
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

"""Unigram vocabularies against brute force: expected counts, the likeliest division, and what maximizing does."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import pytest

from hone.models.unigram import Pieces, _expected, _maximized, best, learn_unigram

PIECES: Pieces = {"a": 0.2, "b": 0.15, "c": 0.05, "ab": 0.25, "bc": 0.1, "abc": 0.05, "ca": 0.2}
WORDS = {"abcab": 3, "cabca": 2, "bbb": 1, "abc": 4}


def divisions(word: str) -> Iterator[list[str]]:
    for cuts in itertools.product([False, True], repeat=len(word) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut]
        parts = [word[a:b] for a, b in itertools.pairwise([0, *ends, len(word)])]
        if all(part in PIECES for part in parts):
            yield parts


def likelihood(words: dict[str, int], pieces: Pieces) -> float:
    total = 0.0
    for word, times in words.items():
        ahead = [1.0] + [0.0] * len(word)
        for end in range(1, len(word) + 1):
            ahead[end] = sum(ahead[begin] * pieces.get(word[begin:end], 0.0) for begin in range(end))
        total += times * math.log(ahead[-1])
    return total


def test_expected_counts_are_those_of_all_divisions() -> None:
    expected: Counter[str] = Counter()
    for word, times in WORDS.items():
        weights = [(math.prod(PIECES[part] for part in parts), parts) for parts in divisions(word)]
        total = sum(weight for weight, _ in weights)
        for weight, parts in weights:
            for part in parts:
                expected[part] += times * weight / total
    found = _expected(WORDS, PIECES)
    assert {piece: found[piece] for piece in PIECES} == pytest.approx({piece: expected[piece] for piece in PIECES})


@pytest.mark.parametrize("word", list(WORDS))
def test_the_likeliest_division_is_found(word: str) -> None:
    parts, score = best(word, PIECES.get)
    assert score == pytest.approx(max(sum(math.log(PIECES[p]) for p in d) for d in divisions(word)))
    assert "".join(parts) == word


def test_maximizing_makes_the_words_no_less_likely() -> None:
    pieces, scores = PIECES, [likelihood(WORDS, PIECES)]
    for _ in range(5):
        pieces = _maximized(_expected(WORDS, pieces), {"b"})
        scores.append(likelihood(WORDS, pieces))
        assert sum(pieces.values()) == pytest.approx(1)
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(scores[1:]))


def test_a_vocabulary_has_its_size_its_characters_and_no_chance() -> None:
    words = {
        "".join(parts): 1 + i % 5
        for i, parts in enumerate(itertools.product(["low", "new", "er", "est", "i"], repeat=3))
    }
    found = learn_unigram(words, "lownersti", room=20, least=2)
    assert len(found) == 20
    assert set("lownersti") <= {piece for piece, _ in found}
    assert {"low", "new", "est"} <= {piece for piece, _ in found}
    assert found == learn_unigram(dict(reversed(words.items())), "itsrenwol", room=20, least=2)
    assert math.fsum(math.exp(score) for _, score in found) == pytest.approx(1)


def test_a_word_too_unlikely_for_a_float_teaches_nothing() -> None:
    pieces = {"a": 1 - 1e-9, "z": 1e-9}
    assert _expected({"z" * 60: 5, "aa": 1}, pieces) == {"a": 2.0, "z": 0.0}

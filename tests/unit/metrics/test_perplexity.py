"""Perplexities of models whose probabilities are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hone.metrics.perplexity import PERPLEXITY_COLUMNS, perplexities, perplexity_tally


def counts(*texts: tuple[float, int, int, int]) -> np.ndarray:
    sums, tokens, words, utf8_bytes = np.array(texts).T
    return perplexity_tally(sums, tokens=tokens, words=words, utf8_bytes=utf8_bytes)


def test_a_uniform_model_is_as_surprised_as_it_has_tokens() -> None:
    found = perplexities(counts((6 * -math.log(50), 6, 3, 12)))
    assert found["perplexity"] == pytest.approx(50)
    assert found["word_perplexity"] == pytest.approx(50**2)
    assert found["bits_per_byte"] == pytest.approx(math.log2(50) / 2)


def test_texts_weigh_by_their_tokens() -> None:
    tally = counts((-math.log(8), 1, 1, 1), (-3 * math.log(2), 3, 1, 1))
    assert perplexities(tally)["perplexity"] == pytest.approx(64 ** (1 / 4))
    assert perplexities(tally) == perplexities(tally.sum(axis=0, keepdims=True))


def test_nothing_has_no_perplexity() -> None:
    assert set(perplexities(np.zeros((0, PERPLEXITY_COLUMNS))).values()) == {None}
    assert perplexities(counts((-800.0, 100, 1, 300)))["word_perplexity"] is None  # more than a float holds


@pytest.mark.parametrize("text", [(0.5, 1, 1, 1), (-math.inf, 1, 1, 1), (math.nan, 1, 1, 1), (-1.0, -1, 1, 1)])
def test_impossible_sums_are_refused(text: tuple[float, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        counts(text)


def test_arrays_of_unlike_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[texts\]"):
        perplexity_tally(np.zeros(2), tokens=np.ones(2), words=np.ones(2), utf8_bytes=np.ones(3))

"""Word shapes tell apart what an uncased tokenizer does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.text.shapes import CASES, SHAPE_SIZES, word_shapes


def case(word: str) -> str:
    return CASES[word_shapes([word])[0, 0]]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("paris", "lower"),
        ("don't", "lower"),
        ("Paris", "title"),
        ("O'neill", "title"),
        ("USA", "upper"),
        ("McDonald", "mixed"),
        ("iPhone", "mixed"),
        ("1984", "digits"),
        ("3.14", "digits-and-punctuation"),
        ("F16", "letters-and-digits"),
        ("A", "initial"),
        ("U.S.", "dotted"),
        ("...", "punctuation"),
        ("", "punctuation"),
        ("北京", "other"),
    ],
)
def test_case_classes(word: str, kind: str) -> None:
    assert case(word) == kind


def test_the_pattern_tells_case_apart_and_not_letters() -> None:
    patterns = word_shapes(["Ada", "Bob", "ADA", "ada"])[:, 1]
    assert patterns[0] == patterns[1]
    assert len(set(patterns.tolist())) == 3


def test_runs_longer_than_two_share_a_pattern() -> None:
    patterns = word_shapes(["Tokyo", "Johannesburg", "12345", "123", "12"])[:, 1]
    assert patterns[0] == patterns[1]
    assert patterns[2] == patterns[3] == patterns[4]


def test_the_ending_keeps_its_case() -> None:
    endings = word_shapes(["Washington", "Wellington", "WELLINGTON"])[:, 2]
    assert endings[0] == endings[1] != endings[2]


def test_no_words_give_no_rows() -> None:
    assert word_shapes([]).shape == (0, 3)


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=30), max_size=5))
def test_features_of_any_word_are_within_their_sizes_and_never_padding(words: list[str]) -> None:
    features = word_shapes(words)
    assert features.dtype == np.int32
    assert (features > 0).all()
    assert (features < np.array(SHAPE_SIZES)).all()

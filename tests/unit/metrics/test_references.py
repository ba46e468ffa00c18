"""Length and identity of texts against their references."""

from __future__ import annotations

import numpy as np
import pytest

from hone.metrics.references import REFERENCE_COLUMNS, against_references, reference_tally


def test_the_reference_nearest_in_length_counts_and_any_may_match() -> None:
    counts = reference_tally([[list("abcde"), list("a"), list("xyz")], [list("ab")]], [list("xyz"), list("abc")])
    assert counts.tolist() == [[3, 3, 1, 1], [3, 2, 0, 1]]
    assert against_references(counts) == {"length_ratio": 6 / 5, "exact_match": 1 / 2}
    assert against_references(counts.sum(axis=0, keepdims=True)) == against_references(counts)


def test_of_two_references_as_near_the_shorter_counts() -> None:
    assert reference_tally([[list("abcd"), list("ab")]], [list("abc")])[0, 1] == 2


def test_no_texts_are_not_measured() -> None:
    assert set(against_references(np.zeros((0, REFERENCE_COLUMNS))).values()) == {None}
    assert against_references(reference_tally([[[]]], [[]])) == {"length_ratio": None, "exact_match": 1}


@pytest.mark.parametrize(("gold", "said"), [([["a"]], []), ([[]], ["a"])])
def test_every_text_needs_a_reference(gold: list, said: list) -> None:
    with pytest.raises(ValueError, match="text"):
        reference_tally(gold, said)

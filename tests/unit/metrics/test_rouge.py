"""ROUGE on cases counted by hand, and its longest common subsequences against the table of dynamic programming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.metrics.rouge import ROUGE_COLUMNS, lcs_length, rouge, rouge_tally

UNITS = st.lists(st.sampled_from("abcd"), max_size=90)


def one(text: str) -> list[list[str]]:
    return [text.split()]


def test_the_example_of_the_paper_is_as_counted_there() -> None:
    # Lin 2004: "police killed the gunman" against "police kill the gunman" and "the gunman kill police"
    counts = rouge_tally(
        [[one("police killed the gunman")]] * 2, [one("police kill the gunman"), one("the gunman kill police")]
    )
    first, second = rouge(counts[:1]), rouge(counts[1:])
    assert (first["rougeL"], second["rougeL"]) == (pytest.approx(3 / 4), pytest.approx(2 / 4))
    assert first["rouge2"] == second["rouge2"] == pytest.approx(1 / 3)


def test_the_union_over_sentences_is_that_of_the_paper() -> None:
    # Lin 2004, 3.2: w1..w5 against "w1 w3 w8 w9 w5" and "w1 w2 w6 w7 w8" share w1 w2 w3 w5: recall 4/5
    said = [*one("w1 w3 w8 w9 w5"), *one("w1 w2 w6 w7 w8")]
    scores = rouge(rouge_tally([[one("w1 w2 w3 w4 w5")]], [said]))
    assert scores["rougeLsum_recall"] == pytest.approx(4 / 5)
    assert scores["rougeLsum_precision"] == pytest.approx(4 / 10)
    assert scores["rougeL_recall"] == pytest.approx(3 / 5)


def test_the_best_reference_is_chosen_by_f1_for_each_score() -> None:
    references = [one("a b"), one("c b a x y z")]
    scores = rouge(rouge_tally([references], [one("c b a")]))
    assert scores["rouge1"] == pytest.approx(4 / 5)  # of the first: 2 of 3 and 2 of 2; of the second 3 of 3 and 3 of 6
    assert scores["rouge2"] == pytest.approx(2 * 2 / (2 + 5))  # of the second


def test_means_are_over_texts_and_of_any_of_them() -> None:
    counts = rouge_tally([[one("a b c d")], [one("x")]], [one("a b c d"), one("y")])
    assert counts.shape == (2, ROUGE_COLUMNS)
    assert rouge(counts)["rouge1"] == rouge(counts.sum(axis=0, keepdims=True))["rouge1"] == 0.5
    assert rouge(counts[:1])["rougeLsum"] == 1


def test_texts_without_units_score_nothing_and_no_texts_have_no_score() -> None:
    counts = rouge_tally([[[]], [one("a")], [[[]]]], [[], [[], []], one("a")])
    assert (counts[:, :-1] == 0).all()
    assert set(rouge(np.zeros((0, ROUGE_COLUMNS))).values()) == {None}


@pytest.mark.parametrize(("gold", "said"), [([[one("a")]], []), ([[]], [one("a")])])
def test_texts_without_references_are_refused(gold: list, said: list) -> None:
    with pytest.raises(ValueError, match="text"):
        rouge_tally(gold, said)


@settings(max_examples=100, deadline=None)
@given(UNITS, UNITS)
def test_the_longest_common_subsequence_is_as_long_as_the_table_says(left: list[str], right: list[str]) -> None:
    table = np.zeros((len(left) + 1, len(right) + 1), dtype=int)
    for i, unit in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1, j + 1] = table[i, j] + 1 if unit == other else max(table[i, j + 1], table[i + 1, j])
    assert lcs_length(left, right) == table[-1, -1]

"""Entities of BIO tags, legal and not, and their counts."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hone.metrics.entities import averages, per_label, span_tally, spans, token_tally

KINDS = ("LOC", "PER")
TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("", []),
        ("O O", []),
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("O I-PER I-PER", [("PER", 1, 3)]),
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("I-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
    ],
)
def test_spans_read_tags_as_conlleval_does(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == found


def test_a_hit_needs_type_and_both_ends() -> None:
    gold = ["B-PER", "I-PER", "O", "B-LOC", "O", "B-PER"]
    predicted = ["B-PER", "I-PER", "O", "B-PER", "O", "B-PER"]
    assert span_tally([gold], [predicted], KINDS).reshape(3, 2).tolist() == [[0, 2], [0, 3], [1, 2]]
    assert span_tally([gold], [["B-PER", "O", "O", "B-LOC", "I-LOC", "O"]], KINDS)[0, :2].tolist() == [0, 0]


def test_many_texts_at_once_count_as_each_alone() -> None:
    rng = random.Random(0)
    gold = [rng.choices(TAGS, k=rng.randrange(6)) for _ in range(200)]
    predicted = [[rng.choice((tag, rng.choice(TAGS))) for tag in tags] for tags in gold]
    tally = span_tally(gold, predicted, KINDS)
    for row, one, other in zip(tally.reshape(-1, 3, 2), gold, predicted, strict=True):
        true, said = set(spans(one)), set(spans(other))
        for i, members in enumerate((true & said, said, true)):
            assert row[i].tolist() == [sum(kind == name for kind, _, _ in members) for name in KINDS]
    assert (tally == [span_tally([g], [p], KINDS)[0] for g, p in zip(gold, predicted, strict=True)]).all()


def test_an_entity_ends_with_its_text() -> None:
    tally = span_tally([["B-PER"], ["I-PER"]], [["B-PER"], ["I-PER"]], KINDS)
    assert tally.reshape(2, 3, 2)[:, 0, 1].tolist() == [1, 1]


def test_tokens_are_counted_each_on_its_own() -> None:
    counts = token_tally([["O", "B-PER", "I-PER"]], [["O", "B-PER", "O"]], TAGS).reshape(3, 5)
    assert counts.tolist() == [[1, 0, 0, 1, 0], [2, 0, 0, 1, 0], [1, 0, 0, 1, 1]]


def test_no_texts_have_no_rows() -> None:
    assert span_tally([], [], KINDS).shape == (0, 6)
    assert token_tally([], [], TAGS).shape == (0, 15)


def test_averages_of_nothing_are_zero() -> None:
    assert set(averages(np.zeros(6)).values()) == {0.0}


def test_a_label_that_never_occurs_is_left_out_of_macro() -> None:
    counts = np.array([2, 0, 2, 0, 2, 0])
    assert averages(counts)["macro_f1"] == 1.0
    assert per_label(counts)[2].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("gold", "predicted", "words"),
    [([["O"]], [["O", "O"]], "equal lengths"), ([["O"]], [], "equal lengths"), ([["B-ORG"]], [["O"]], "'B-ORG'")],
)
def test_what_does_not_fit_is_refused(gold: list[list[str]], predicted: list[list[str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        span_tally(gold, predicted, KINDS)

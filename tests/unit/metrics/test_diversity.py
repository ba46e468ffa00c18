"""Diversity of small sets that are counted by hand, and self-BLEU against sacrebleu with all others as references."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import sacrebleu

from hone.metrics.diversity import (
    DISTINCT_COLUMNS,
    REPETITION_COLUMNS,
    SELF_BLEU_COLUMNS,
    distinct,
    distinct_tally,
    repetition,
    repetition_tally,
    self_bleu,
    self_bleu_tally,
)
from hone.metrics.ngrams import count


def random_texts(n: int, *, longest: int = 9) -> list[list[str]]:
    draws = random.Random(n)
    return [draws.choices("abcde", k=draws.randint(0, longest)) for _ in range(n)]


def test_distinct_ngrams_are_those_of_the_set() -> None:
    texts = [list("abab"), list("ab"), list("c")]
    found = distinct(distinct_tally(texts))
    assert found == {"distinct_1": pytest.approx(3 / 7), "distinct_2": pytest.approx(2 / 4), "distinct_3": 1.0}


def test_parts_of_distinct_ngrams_add_up_to_them() -> None:
    texts = random_texts(30)
    sums = distinct_tally(texts).sum(axis=0)
    for column, n in enumerate((1, 2, 3)):
        each = [list(count(text, n).elements()) for text in texts]
        whole = list(itertools.chain.from_iterable(each))
        assert sums[column] == pytest.approx(len(set(whole)))
        assert sums[3 + column] == len(whole)


def test_repetition_is_within_texts() -> None:
    counts = repetition_tally([list("abcab"), list("ab"), list("abcd"), []], n=2)
    assert repetition(counts) == {"repeated_ngrams": pytest.approx(1 / 8)}
    assert repetition(counts[1:]) == {"repeated_ngrams": 0}


def test_self_bleu_has_all_other_texts_as_references() -> None:
    texts = random_texts(25)
    counts = self_bleu_tally(texts)
    metric = sacrebleu.BLEU(tokenize="none", effective_order=True)
    for at, text in enumerate(texts):
        others = [" ".join(other) for i, other in enumerate(texts) if i != at]
        assert counts[at, 0] == pytest.approx(metric.sentence_score(" ".join(text), others).score)
    assert self_bleu(counts)["self_bleu"] == pytest.approx(counts[:, 0].mean())


def test_equal_texts_have_all_of_each_other_and_unlike_ones_nothing() -> None:
    assert self_bleu(self_bleu_tally([list("ab"), list("ab")]))["self_bleu"] == pytest.approx(100)
    assert self_bleu(self_bleu_tally([list("ab"), list("cd")]))["self_bleu"] == 0


def test_of_many_texts_a_seeded_sample_is_held_against_itself() -> None:
    texts = random_texts(40)
    counts = self_bleu_tally(texts, most=10, seed=3)
    drawn = np.flatnonzero(counts[:, 1])
    assert len(drawn) == 10
    assert (counts[drawn] == self_bleu_tally([texts[at] for at in drawn])).all()
    assert (counts == self_bleu_tally(texts, most=10, seed=3)).all()
    assert (counts[:, 1] != self_bleu_tally(texts, most=10, seed=4)[:, 1]).any()


def test_one_text_has_no_others() -> None:
    assert self_bleu(self_bleu_tally([["a"]])) == {"self_bleu": None}
    with pytest.raises(ValueError, match="most must be at least 2"):
        self_bleu_tally([["a"]], most=1)


def test_no_texts_have_no_diversity() -> None:
    assert set(distinct(np.zeros((0, DISTINCT_COLUMNS))).values()) == {None}
    assert set(repetition(np.zeros((0, REPETITION_COLUMNS))).values()) == {None}
    assert set(self_bleu(np.zeros((0, SELF_BLEU_COLUMNS))).values()) == {None}
    assert distinct_tally([]).shape == (0, DISTINCT_COLUMNS)
    assert repetition_tally([]).shape == (0, REPETITION_COLUMNS)

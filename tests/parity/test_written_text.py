"""hone's measures of written text equal sacrebleu's and rouge-score's on random texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize as rouge_words

from hone.metrics.bleu import Bleu, Chrf
from hone.metrics.rouge import ROUGE, rouge, rouge_tally
from hone.text.units import english_words

WORDS = ("the", "cat", "The", "mat,", "ran", "一只", "猫，", "U.S.", "3.5", "&quot;", "(hi)", "naïve")
TEXT = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
ROWS = st.lists(st.tuples(st.lists(TEXT, min_size=1, max_size=3), TEXT), min_size=1, max_size=8)
SUMMARY = st.lists(TEXT, max_size=4).map("\n".join)
Rows = list[tuple[list[str], str]]


def streams(rows: Rows) -> tuple[list[str], list[list[str | None]]]:
    """What sacrebleu's own functions take: the texts written, and the references one after the other."""
    most = max(len(gold) for gold, _ in rows)
    return [said for _, said in rows], [[gold[i] if i < len(gold) else None for gold, _ in rows] for i in range(most)]


def sentences(text: str) -> list[list[str]]:
    return [english_words(line) for line in text.split("\n")]


@pytest.mark.parametrize(
    "options", [{}, {"tokenizer": "zh"}, {"tokenizer": "intl", "lowercase": True}, {"tokenizer": "char"}]
)
@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_bleu_equals_sacrebleu(options: dict[str, Any], rows: Rows) -> None:
    said, references = streams(rows)
    gold = [gold for gold, _ in rows]
    ours = Bleu(**options)
    theirs = sacrebleu.BLEU(tokenize=options.get("tokenizer", "13a"), lowercase=options.get("lowercase", False))
    assert ours.score(ours.tally(gold, said)) == theirs.corpus_score(said, references).score
    assert ours.signature(gold) == str(theirs.get_signature())


@pytest.mark.parametrize("options", [{}, {"word_order": 2}, {"word_order": 2, "lowercase": True}])
@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_chrf_equals_sacrebleu(options: dict[str, Any], rows: Rows) -> None:
    said, references = streams(rows)
    gold = [gold for gold, _ in rows]
    ours, theirs = Chrf(**options), sacrebleu.CHRF(**options)
    assert ours.score(ours.tally(gold, said)) == theirs.corpus_score(said, references).score
    assert ours.signature(gold) == str(theirs.get_signature())


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="aZ19 .,'\n_-éİK字", max_size=30))
def test_english_words_equal_those_of_rouge_score(text: str) -> None:
    assert english_words(text) == rouge_words(text, None)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.lists(SUMMARY, min_size=1, max_size=3), SUMMARY), min_size=1, max_size=3))
def test_rouge_equals_rouge_score(rows: Rows) -> None:
    counts = rouge_tally(
        [[sentences(reference) for reference in gold] for gold, _ in rows], [sentences(said) for _, said in rows]
    )
    scorer = RougeScorer(ROUGE)
    theirs = [scorer.score_multi(gold, said) for gold, said in rows]
    expected = [[part for name in ROUGE for part in score[name]] for score in theirs]
    assert counts[:, :-1] == pytest.approx(np.array(expected))
    assert rouge(counts)["rougeLsum"] == pytest.approx(np.mean([score["rougeLsum"].fmeasure for score in theirs]))

"""hone's measures of written text equal sacrebleu's own corpus scores."""

from __future__ import annotations

from typing import Any

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.metrics.bleu import Bleu, Chrf

WORDS = ("the", "cat", "The", "mat,", "ran", "一只", "猫，", "U.S.", "3.5", "&quot;", "(hi)", "naïve")
TEXT = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
ROWS = st.lists(st.tuples(st.lists(TEXT, min_size=1, max_size=3), TEXT), min_size=1, max_size=8)
Rows = list[tuple[list[str], str]]


def streams(rows: Rows) -> tuple[list[str], list[list[str | None]]]:
    """What sacrebleu's own functions take: the texts written, and the references one after the other."""
    most = max(len(gold) for gold, _ in rows)
    return [said for _, said in rows], [[gold[i] if i < len(gold) else None for gold, _ in rows] for i in range(most)]


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

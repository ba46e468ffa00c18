"""Answers are compared as the official scripts compare them: words in lower case, no articles, no punctuation."""

from __future__ import annotations

import pytest

from hone.metrics.answers import answer_f1, exact_match
from hone.text.answers import answer_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Normans, (of) Normandy!", ["normans", "of", "normandy"]),
        ("a an the", []),
        ("$5.50 per-day", ["550", "perday"]),
        ("theater another", ["theater", "another"]),
        ("北京 大学", ["北", "京", "大", "学"]),
        ("在2008年，北京。", ["在", "2008", "年", "北", "京"]),
        ("“quoted” — text…", ["quoted", "text"]),
        ("", []),
    ],
)
def test_words_of_an_answer(text: str, words: list[str]) -> None:
    assert answer_words(text) == words


@pytest.mark.parametrize(
    ("gold", "said", "exact", "f1"),
    [
        (["the Seine"], "Seine", True, 1.0),
        (["river Seine"], "the Seine river", False, 1.0),
        (["river Seine"], "Seine", False, 2 / 3),
        (["Loire", "river Seine"], "Seine", False, 2 / 3),
        (["a a b"], "b b", False, 2 * 1 / 3),  # the article goes, b is shared once
        (["Seine"], "", False, 0.0),
        ([], "", True, 1.0),
        ([], "Seine", False, 0.0),
        (["北京大学"], "北京", False, 2 / 3),
    ],
)
def test_exact_match_and_f1(gold: list[str], said: str, exact: bool, f1: float) -> None:
    words = [answer_words(one) for one in gold]
    assert exact_match(words, answer_words(said)) is exact
    assert answer_f1(words, answer_words(said)) == pytest.approx(f1)

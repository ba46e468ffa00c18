"""Turns of a conversation: who speaks, in any of the names that data give them, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from hone.data.turns import answers_of, turns_of


def said(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "text": text} for role, text in pairs]


@pytest.mark.parametrize(
    "raw",
    [
        said(("user", "a"), ("assistant", "b")),
        said(("usr", "a"), ("sys", "b")),  # CrossWOZ
        said(("user", "a"), ("system", "b")),  # MultiWOZ
        said(("Human", "a"), ("GPT", "b")),
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "acts": [1]}],
        [{"role": "user", "text": None, "content": "a"}, {"role": "assistant", "text": "b", "content": None}],
    ],
)
def test_roles_have_many_names(raw: Any) -> None:
    turns, odd = turns_of(raw, answered=True)
    assert odd is None
    assert turns == said(("user", "a"), ("assistant", "b"))
    assert answers_of(turns) == ["b"]


def test_system_says_how_to_answer_where_there_is_an_assistant_or_it_comes_first() -> None:
    for raw in (said(("system", "s"), ("user", "a"), ("assistant", "b")), said(("system", "s"), ("user", "a"))):
        turns, odd = turns_of(raw, answered=len(raw) == 3)
        assert odd is None
        assert turns == raw


@pytest.mark.parametrize(
    ("raw", "code", "found"),
    [
        ("a", "data.turns-kind", "str 'a'"),
        ([], "data.turns-kind", "an empty list"),
        (["a"], "data.turns-kind", "str 'a' at turn 1"),
        ([{"text": "a"}], "data.turns-role", "no role at turn 1"),
        (said(("user", "a"), ("assitant", "b")), "data.turns-role", "'assitant' at turn 2"),
        ([{"role": "user"}], "data.turns-kind", "no text at turn 1"),
        ([{"role": "user", "text": 3}], "data.turns-kind", "int 3 as text at turn 1"),
        (said(("user", "a"), ("assistant", " ")), "data.turns-empty", "an empty text at turn 2"),
        (said(("user", "\ud83d")), "data.turns-kind", "half a character"),
        (said(("system", "a"), ("system", "b"), ("user", "c")), "data.turns-system", "system texts, at turns 1 and 2"),
        (said(("system", "a"), ("user", "c"), ("system", "b")), "data.turns-system", "at turns 1 and 3"),
        (said(("user", "a"), ("system", "b"), ("assistant", "c")), "data.turns-system", "a system text at turn 2"),
        (said(("user", "a")), "data.turns-unanswered", "no answer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_turn(raw: Any, code: str, found: str) -> None:
    _, odd = turns_of(raw, answered=True)
    assert odd is not None
    assert odd.code == code
    assert found in odd.found


def test_a_misspelled_role_is_told_what_may_be_meant() -> None:
    _, odd = turns_of(said(("assitant", "b")), answered=True)
    assert odd is not None
    assert odd.fix == "Did you mean 'assistant'?"


def test_what_is_to_be_answered_ends_with_a_turn_of_the_user() -> None:
    _, odd = turns_of(said(("user", "a"), ("assistant", "b")), answered=False)
    assert odd is not None
    assert odd.code == "data.turns-unasked"
    assert turns_of(said(("user", "a"), ("system", "b"), ("user", "c")), answered=False)[1] is None

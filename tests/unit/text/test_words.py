"""Words, their offsets, and the text that words make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.text.words import join_characters, join_words, split_characters, split_words


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I live in Paris.", ["I", "live", "in", "Paris", "."]),
        ("don't stop", ["don't", "stop"]),
        ("it’s state-of-the-art", ["it’s", "state-of-the-art"]),
        ("U.S.A. now", ["U.S.A", ".", "now"]),
        ("(hi)!?", ["(", "hi", ")", "!", "?"]),
        ("我在北京。", ["我", "在", "北", "京", "。"]),
        ("用iPhone打字", ["用", "iPhone", "打", "字"]),
        ("１２", ["１", "２"]),
        ("  a\t\nb\u3000c ", ["a", "b", "c"]),
        ("a\u200bb", ["a", "\u200b", "b"]),
        ("cafe\u0301 ne\u0301e-e\u0301!", ["cafe\u0301", "ne\u0301e-e\u0301", "!"]),
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा", "।"]),
        ("சூழல்", ["சூழல்"]),
        ("か\u3099き", ["か\u3099", "き"]),
        ("葛\U000e0100城", ["葛\U000e0100", "城"]),
        ("❤\ufe0f!", ["❤\ufe0f", "!"]),
        ("\u0301a", ["\u0301", "a"]),
        ("", []),
        (" \n", []),
    ],
)
def test_text_is_split_into_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_stand_in_order_never_overlap_and_leave_only_white_space(text: str) -> None:
    offsets = split_words(text)
    assert all(start < end for start, end in offsets)
    assert all(one[1] <= other[0] for one, other in zip(offsets, offsets[1:], strict=False))
    covered = {i for start, end in offsets for i in range(start, end)}
    assert all(character.isspace() for i, character in enumerate(text) if i not in covered)


@pytest.mark.parametrize(
    ("given_words", "text"),
    [
        (["Ada", "is", "here", "."], "Ada is here ."),
        (["我", "在", "北京", "。"], "我在北京。"),
        (["用", "iPhone", "打", "字"], "用 iPhone 打字"),
        (["one"], "one"),
        ([], ""),
    ],
)
def test_words_are_parted_by_a_space_except_between_chinese_ones(given_words: list[str], text: str) -> None:
    assert join_words(given_words)[0] == text


@given(st.lists(st.text(max_size=5), max_size=8))
def test_offsets_of_joined_words_point_at_the_words(given_words: list[str]) -> None:
    text, offsets = join_words(given_words)
    assert [text[start:end] for start, end in offsets] == given_words


def test_characters_are_split_one_by_one_without_white_space() -> None:
    assert split_characters("VPN 断了") == [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6)]


def test_characters_are_joined_with_nothing_between() -> None:
    assert join_characters(["V", "P", "N", "断"]) == ("VPN断", [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert join_characters([]) == ("", [])

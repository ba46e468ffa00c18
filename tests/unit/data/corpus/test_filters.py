"""What each filter measures of a text, and that a document within its bounds is kept."""

from __future__ import annotations

from typing import Any

import pytest

from hone.core.choice import decided, opened
from hone.core.errors import RecipeError
from hone.data.corpus.filters.table import FILTERS


def measured(name: str, text: str, **settings: Any) -> float | None:
    entry, bounds = opened(decided({"name": name, **settings}, FILTERS), FILTERS)
    value: float | None = entry.measure(bounds)(text)
    return value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("characters", "four", 4),
        ("letters", "ab 1!", 3 / 4),
        ("letters", "红楼梦。", 3 / 4),
        ("letters", "हिन्दी।", 6 / 7),
        ("letters", "e\u0301\u4e00!", 3 / 4),
        ("letters", "  ", None),
        ("replacement", "a\ufffdbc", 1 / 4),
        ("repeated-lines", "ab\ncd\nab\n\nab", 4 / 8),
        ("repeated-lines", "\n", None),
        ("boilerplate", "Text.\nAll Rights Reserved 2020\n版权所有\nText.", 2 / 4),
        ("word-length", "ab abcd", 3),
        ("word-length", "红楼梦 ab", None),
        ("symbols", "#one two... three", 2 / 7),
        ("repeated-ngrams", "a b c d e a b c d e", 5 / 10),
        ("repeated-ngrams", "红楼梦里人，红楼梦里人", 5 / 11),
        ("repeated-ngrams", "a b c", 0),
        ("repeated-ngrams", "", None),
    ],
)
def test_a_filter_measures(name: str, text: str, expected: float | None) -> None:
    assert measured(name, text) == (None if expected is None else pytest.approx(expected))


def test_overlapping_ngrams_count_a_character_once() -> None:
    assert measured("repeated-ngrams", "a a a a", n=2) == pytest.approx(3 / 4)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_keeps_an_ordinary_text_and_one_without_bounds_keeps_all(name: str) -> None:
    plain = "Some say that the harbor was quiet then, and that no ship had come in for a week because of the weather."
    needed = {"languages": ["en"]} if name == "language" else {}
    for text, settings in ((plain, {}), ("#\ufffd", {"min": None, "max": None}), ("", {"min": None, "max": None})):
        entry, bounds = opened(decided({"name": name, **needed, **settings}, FILTERS), FILTERS)
        assert bounds.hold(entry.measure(bounds)(text))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("It was a bright cold day in April, and the clocks were striking thirteen.", "en"),
        ("Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.", "de"),
        ("话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。", "zh"),
    ],
)
def test_a_text_is_probably_in_its_language(text: str, code: str) -> None:
    found = {one: measured("language", text, languages=[one]) or 0 for one in ("en", "de", "zh")}
    assert found[code] > 0.4 > max(share for one, share in found.items() if one != code)
    assert measured("language", text, languages=["en", "de", "zh"]) == pytest.approx(sum(found.values()))


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown language 'eng'") as caught:
        measured("language", "text", languages=["eng"])
    assert caught.value.code == "recipe.unknown-language"


def test_numbers_are_in_no_language() -> None:
    assert measured("language", "12 + 34", languages=["en"]) is None

"""Both catalogs say the same things, and the code asks for nothing that they lack."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import hone.report.catalog
from hone.report.catalog import CATALOGS, explained, slice_name, word

ROOM = Path(hone.report.catalog.__file__).parent
SOURCE = "".join(path.read_text(encoding="utf-8") for path in ROOM.glob("*.py") if not path.name.startswith("words_"))


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_both_catalogs_have_the_same_keys_and_places() -> None:
    assert list(CATALOGS["en"]) == list(CATALOGS["zh"])
    for key, sentence in CATALOGS["en"].items():
        assert places(sentence) == places(CATALOGS["zh"][key]), key


def test_every_fixed_word_is_known_and_used() -> None:
    asked = set(re.findall(r'["\']((?:page|plot)\.\w+)["\']', SOURCE))
    assert asked == {key for key in CATALOGS["en"] if key.startswith(("page.", "plot."))}


def test_chinese_is_written_with_chinese_punctuation() -> None:
    for key, sentence in CATALOGS["zh"].items():
        assert not re.search(r"[\u4e00-\u9fff][,;:(]|[,;:)][\u4e00-\u9fff]", sentence), key


def test_every_explanation_explains_something_named() -> None:
    for key in CATALOGS["en"]:
        if key.startswith(("about.", "note.")):
            assert key.partition(".")[2] in CATALOGS["en"], key


def test_an_unknown_key_falls_back_to_its_words() -> None:
    assert word("brand_new_measure", "zh") == "brand new measure"
    assert explained("note.brand_new") == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [("tokens 0-16", "token 数 0-16"), ("refund 2", "refund 2"), ("validation", "验证集"), ("refund", "refund")],
)
def test_only_the_first_word_of_a_slice_is_translated(name: str, shown: str) -> None:
    assert slice_name(name, "zh") == shown


def test_places_are_filled() -> None:
    assert word("page.all_rows", count="77") == "All 77 rows"

"""The units and sentences that written texts are compared by."""

from __future__ import annotations

import pytest

from hone.text.units import english_words, split_sentences, words_and_characters


def test_english_words_are_runs_of_letters_and_digits() -> None:
    assert english_words("Don't pay $3.50, U.S.-style") == ["don", "t", "pay", "3", "50", "u", "s", "style"]


def test_chinese_characters_are_units_and_what_stands_between_them_words() -> None:
    text = "ＧＰＴ　模型在2024年发布，叫“GPT4”。"
    assert words_and_characters(text) == [
        "gpt", "模", "型", "在", "2024", "年", "发", "布", "叫", "gpt4",
    ]  # fmt: skip


def test_half_width_and_full_width_forms_are_the_same() -> None:
    assert words_and_characters("ﾃｽﾄ１２") == words_and_characters("テスト12") == ["テ", "ス", "ト", "12"]


def test_words_of_other_scripts_are_kept_whole() -> None:
    assert words_and_characters("Über हिन्दी, Привет!") == ["über", "हिन्दी", "привет"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!\n\n Three? ", ["One. Two!", "Three?"]),
        ('He said "no." Then 3.5 of it! ok', ['He said "no."', "Then 3.5 of it!", "ok"]),
        ("他说：“好。”然后走了！真的？是", ["他说：“好。”", "然后走了！", "真的？", "是"]),
        ("no end", ["no end"]),
        (" \n ", []),
    ],
)
def test_sentences_are_lines_or_end_with_a_mark(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences

"""Stop strings are found in what tokens say, wherever tokens begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from table_writer import END, saying

from hone.core.errors import RecipeError
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

TURN = 5  # a special token, in the place of " four"
WORDS = ["", "One", " two", ". Th", "ree", " four", "\n\nFi", "ve"]
VOCABULARY = Vocabulary((END,), decode=lambda ids: "".join(WORDS[token] for token in ids))


def written(stops: Sequence[str], **settings: object) -> tuple[str | None, str, int]:
    writer = saying([1, 2, 3, 4, 5, 6, 7], tokens=len(WORDS))
    asked = DecodingSettings(stop_strings=list(stops), **settings)  # type: ignore[arg-type]
    text = generate(writer, [[1]], asked, vocabulary=VOCABULARY)[0][0]
    return text.text, text.ended, len(text.ids)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}, {"do_sample": True}], ids=str)
@pytest.mark.parametrize(
    ("stops", "text", "count"),
    [
        (["two"], "One ", 2),
        (["Three"], "One two. ", 4),
        (["\n\n"], "One two. Three four", 6),
        (["ve", " four"], "One two. Three", 5),
        (["wo. T", "o"], "One tw", 2),
    ],
)
def test_the_text_ends_before_the_stop_string(
    stops: list[str], text: str, count: int, settings: dict[str, object]
) -> None:
    assert written(stops, max_new_tokens=20, **settings) == (text, "stop-string", count)


def test_without_one_in_it_the_text_ends_by_itself() -> None:
    assert written(["six"], max_new_tokens=20) == ("One two. Three four\n\nFive", "stop", 7)


def test_a_stop_string_counts_even_in_the_last_token_there_is_room_for() -> None:
    assert written(["two"], max_new_tokens=2) == ("One ", "stop-string", 2)


def test_a_stop_string_that_never_comes_leaves_the_text_to_end_otherwise() -> None:
    assert written(["Four"], max_new_tokens=4) == ("One two. Three", "length", 4)
    text, ended, _ = written(["Four"], max_new_tokens=20)
    assert (text, ended) == ("One two. Three four\n\nFive", "stop")


SPECIAL = replace(
    VOCABULARY,
    encode=lambda texts: [[TURN] if text == "<turn>" else [TURN, 3] if "<turn>" in text else [3] for text in texts],
    decode=lambda ids: "".join(WORDS[token] for token in ids if token != TURN),
    special=lambda: {"<turn>": TURN, "<end>": END},
)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 2}, {"do_sample": True}], ids=str)
def test_a_stop_string_that_is_a_special_token_ends_the_text_as_that_token(settings: dict[str, object]) -> None:
    writer = saying([1, 2, 3, 4, TURN, 6, 7], tokens=len(WORDS))
    asked = DecodingSettings(stop_strings=["<turn>", "six"], max_new_tokens=20, **settings)  # type: ignore[arg-type]
    text = generate(writer, [[1]], asked, vocabulary=SPECIAL)[0][0]
    assert (text.text, text.ended, len(text.ids)) == ("One two. Three", "stop-string", 5)


def test_a_stop_string_with_a_special_token_within_it_is_refused() -> None:
    asked = DecodingSettings(stop_strings=["<turn>\n"])
    with pytest.raises(RecipeError, match="Take '<turn>' alone"):
        generate(saying([1, 2], tokens=len(WORDS)), [[1]], asked, vocabulary=SPECIAL)


def test_a_bad_word_that_is_a_special_token_is_not_written() -> None:
    writer = saying([1, 2, TURN, 3], tokens=len(WORDS))
    asked = DecodingSettings(bad_words=["<turn>"], max_new_tokens=6)
    assert TURN in generate(writer, [[1]], DecodingSettings(max_new_tokens=6), vocabulary=SPECIAL)[0][0].ids
    letters = replace(SPECIAL, encode=lambda texts: [[3, 3] for _ in texts])  # a tokenizer that reads them as letters
    for vocabulary in (SPECIAL, letters):
        assert TURN not in generate(writer, [[1]], asked, vocabulary=vocabulary)[0][0].ids


def test_a_bad_word_that_ends_texts_is_refused() -> None:
    asked = DecodingSettings(bad_words=["<end>"])
    with pytest.raises(RecipeError, match="bad_words that end a text: '<end>'"):
        generate(saying([1, 2], tokens=len(WORDS)), [[1]], asked, vocabulary=SPECIAL)

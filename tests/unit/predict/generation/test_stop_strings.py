"""Stop strings are found in what tokens say, wherever tokens begin and end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from table_writer import END, saying

from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

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

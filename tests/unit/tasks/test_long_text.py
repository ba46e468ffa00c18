"""Text longer than a row: where windows lie, what a row may hold, which texts are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.core.errors import DataError
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.tasks.long_text import PART_CHARACTERS, encode_beginning, long_text_advice, refuse_long, row_limit, spans
from hone.tasks.settings import TextSettings
from hone.tasks.table import SETTINGS


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Tokenizer:
    return load_tokenizer(tiny_base)


@pytest.mark.parametrize(
    ("length", "room", "stride", "windows"),
    [
        (0, 4, 1, [(0, 0)]),
        (4, 4, 1, [(0, 4)]),
        (5, 4, 1, [(0, 4), (3, 5)]),
        (10, 4, 0, [(0, 4), (4, 8), (8, 10)]),
        (10, 4, 99, [(0, 4), (2, 6), (4, 8), (6, 10)]),  # a stride past half a row is half a row
        (3, 1, 5, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_windows_lie_where_stride_and_room_put_them(
    length: int, room: int, stride: int, windows: list[tuple[int, int]]
) -> None:
    assert spans(length, room=room, stride=stride) == windows


@pytest.mark.parametrize(
    ("max_length", "model_limit", "limit"), [(None, 512, 64), (None, 40, 40), (32, 512, 32), (128, 512, 64)]
)
def test_a_row_holds_what_setting_tokenizer_and_model_all_allow(
    tokenizer: Tokenizer, max_length: int | None, model_limit: int, limit: int
) -> None:
    assert row_limit(TextSettings(max_length=max_length), tokenizer, model_limit=model_limit) == limit


def test_refused_texts_are_named_by_row_and_length() -> None:
    with pytest.raises(DataError) as raised:
        refuse_long({4: 70, 9: 65}, room=62)
    assert raised.value.code == "data.text-too-long"
    assert [fault.found for fault in raised.value.faults] == ["70 tokens in row 5", "65 tokens in row 10"]


def test_many_refused_texts_are_counted_and_fifty_are_named() -> None:
    with pytest.raises(DataError) as raised:
        refuse_long(dict.fromkeys(range(200), 99), room=62)
    assert len(raised.value.faults) == 50
    assert "200" in raised.value.found


@pytest.mark.parametrize(("lengths", "refused"), [({}, False), ({0: 2}, True)])
def test_only_long_texts_are_refused(lengths: dict[int, int], refused: bool) -> None:
    try:
        refuse_long(lengths, room=1)
        raised = False
    except DataError:
        raised = True
    assert raised is refused


@pytest.mark.parametrize(
    "text",
    [
        "my card, the bank\n" * 5000,
        "卡在家。" * 20_000,
        "天" * 70_000,  # no mark to cut at
        "\x00" * 60_000 + "my card",  # the first part gives no token at all
        "x" * 60_000,  # one word that is unknown as a whole
        "a b",
    ],
)
def test_the_beginning_is_that_of_the_whole_text(tokenizer: Tokenizer, text: str) -> None:
    whole = tokenizer.encode([text])[0]
    beginning = encode_beginning(tokenizer, text, room=62)
    assert beginning[:62] == whole[:62]
    assert (len(beginning) > 62) == (len(whole) > 62)


def test_megabytes_are_tokenized_in_part() -> None:
    seen: list[int] = []

    class Counting:
        def encode(self, texts: list[str]) -> list[list[int]]:
            seen.extend(map(len, texts))
            return [[7] * len(text.split()) for text in texts]

    assert len(encode_beginning(Counting(), "word " * 1_000_000, room=100)) == 101  # type: ignore[arg-type]
    assert max(seen) <= PART_CHARACTERS


@pytest.mark.parametrize(
    ("task", "max_length", "said", "not_said"),
    [
        ("summarization", None, "The base reads no more", "window"),
        ("summarization", 999, "The base reads no more", "max_length"),
        ("summarization", 64, "Raise max_length", "window"),
        ("text-classification", 64, "Raise max_length as far as the base goes. Or set long_text to window", "no more"),
    ],
)
def test_only_what_the_task_and_the_base_have_is_advised(
    task: str, max_length: int | None, said: str, not_said: str
) -> None:
    advice = long_text_advice(SETTINGS[task](max_length=max_length), 64, "en")
    assert said in advice
    assert not_said not in advice

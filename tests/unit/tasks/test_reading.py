"""Texts and pairs of them become rows, cut at their ends where they are too long, and windows become one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.core.errors import BundleError
from hone.models.tokenizer import load_tokenizer
from hone.tasks.long_text import TextTooLong
from hone.tasks.reading import Reading, cut_pair, joined
from hone.tasks.rows import Rows, rows_of
from hone.tasks.settings import TextSettings


def reading(folder: Path, *fields: str, **settings: Any) -> Reading:
    tokenizer = load_tokenizer(folder)
    return Reading(TextSettings.model_validate(settings), tokenizer=tokenizer, model_limit=64, fields=fields)


def encoded(reader: Reading, *, purpose: Any = "predict", **columns: list[str]) -> Rows:
    return Rows(rows_of(reader.encode(columns, purpose=purpose, start=0), reader.schema))


@pytest.mark.parametrize(
    ("sizes", "room", "kept"),
    [((3, 4), 10, (3, 4)), ((9, 2), 6, (4, 2)), ((2, 9), 6, (2, 4)), ((9, 9), 6, (3, 3)), ((9, 9), 7, (4, 3)),
     ((0, 9), 6, (0, 6)), ((9, 0), 6, (6, 0)), ((4, 3), 6, (3, 3))],
)  # fmt: skip
def test_the_longer_text_of_a_pair_is_cut_first(sizes: Any, room: int, kept: Any) -> None:
    one, other = list(range(sizes[0])), list(range(sizes[1]))
    cut = cut_pair(one, other, room=room)
    assert cut == (one[: kept[0]], other[: kept[1]])
    assert sum(map(len, cut)) == min(room, sum(sizes))


def test_a_pair_lies_between_its_special_tokens(tiny_base: Path) -> None:
    reader = reading(tiny_base, "text_a", "text_b")
    rows = encoded(reader, text_a=["the screen"], text_b=["is broken"])
    tokenizer = reader.tokenizer
    one, other = tokenizer.encode(["the screen", "is broken"])
    assert tokenizer.middle is not None
    expected = [*tokenizer.prefix, *one, *tokenizer.middle, *other, *tokenizer.suffix]
    assert rows.row("input_ids", 0).tolist() == expected
    assert rows.scalar("second").tolist() == [len(tokenizer.prefix) + len(one) + len(tokenizer.middle)]
    assert rows.text_tokens().tolist() == [len(expected)]
    types = reader.collate(rows, np.array([0]))["token_type_ids"]
    assert types.tolist() == [[0] * (len(expected) - len(other) - 1) + [1] * (len(other) + 1)]


def test_a_long_pair_is_cut_and_says_so(tiny_base: Path) -> None:
    reader = reading(tiny_base, "text_a", "text_b", max_length=11)
    rows = encoded(reader, text_a=["a " * 4, "a " * 30], text_b=["a " * 4, "b"])
    assert rows.lengths.tolist() == [11, 11]
    assert rows.scalar("truncated").tolist() == [0, 1]
    assert rows.scalar("second").tolist() == [6, 9]


def test_a_long_pair_is_refused_by_its_tokens_together(tiny_base: Path) -> None:
    reader = reading(tiny_base, "text_a", "text_b", max_length=11, long_text="refuse")
    assert len(encoded(reader, text_a=["a " * 4], text_b=["a " * 4])) == 1
    with pytest.raises(TextTooLong) as caught:
        encoded(reader, text_a=["a", "a " * 4], text_b=["a", "a " * 5])
    assert caught.value.lengths == {1: 9}


def test_pairs_of_very_long_texts_are_read_as_far_as_they_count(tiny_base: Path) -> None:
    reader = reading(tiny_base, "text_a", "text_b", max_length=16)
    long = "is broken " * 20_000
    learn = encoded(reader, purpose="learn", text_a=[long, "is"], text_b=["is", long])
    predict = encoded(reader, purpose="predict", text_a=[long, "is"], text_b=["is", long])
    for i in range(2):
        assert predict.row("input_ids", i).tolist() == learn.row("input_ids", i).tolist()
    assert predict.scalar("truncated").tolist() == [1, 1]


def test_a_tokenizer_without_a_form_for_pairs_is_refused(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer(tiny_base)
    monkeypatch.setattr(tokenizer, "middle", None)
    with pytest.raises(BundleError) as caught:
        Reading(TextSettings(), tokenizer=tokenizer, model_limit=64, fields=("text_a", "text_b"))
    assert caught.value.code == "base.no-pairs"
    Reading(TextSettings(), tokenizer=tokenizer, model_limit=64, fields=("text",))


def test_windows_are_joined_by_their_tokens(tiny_base: Path) -> None:
    reader = reading(tiny_base, "text", max_length=8, long_text="window", stride=2)
    rows = encoded(reader, text=["a " * 8, "a"])
    assert rows.example.tolist() == [0, 0, 1]
    weights = rows.lengths[:2].astype(float)
    values, cut = joined(rows, np.array([[1.0], [4.0], [7.0]]))
    assert values[:, 0].tolist() == pytest.approx([(weights @ [1.0, 4.0]) / weights.sum(), 7.0])
    assert cut.tolist() == [False, False]


def test_a_pair_is_shown_with_both_its_texts(tiny_base: Path) -> None:
    assert reading(tiny_base, "text_a", "text_b").shown({"text_a": ["x"], "text_b": ["y"]}) == ["x ‖ y"]
    assert reading(tiny_base, "text").shown({"text": ["x"]}) == ["x"]

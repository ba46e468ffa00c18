"""Tokenizers learned from texts: what is one piece, where pieces stand, and that nothing of it is left to chance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hone.models.architectures import PieceTokenizerSettings
from hone.models.learned_tokenizer import MARKS, SPECIAL, learn_tokenizer, learned
from hone.models.tokenizer import Tokenizer

TEXTS = ["the lowest lowest low lower", "a newer and newest new low", "我爱北京，我爱你", "北京 new ＮＥＷ"] * 2


def learn(texts: list[str] = TEXTS, **settings: Any) -> Tokenizer:
    return Tokenizer(learn_tokenizer(PieceTokenizerSettings(**settings), texts, max_tokens=64))


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    found: list[str] = tokenizer.pretrained.convert_ids_to_tokens(tokenizer.encode([text])[0])
    return found


@pytest.mark.parametrize("kind", ["wordpiece", "words", "characters"])
def test_a_chinese_character_is_a_piece_of_its_own(kind: str) -> None:
    assert pieces(learn(kind=kind), "我爱北京new") == ["我", "爱", "北", "京", *pieces(learn(kind=kind), "new")]


@pytest.mark.parametrize("kind", ["wordpiece", "words", "characters"])
def test_full_width_forms_are_read_as_usual_ones(kind: str) -> None:
    tokenizer = learn([*TEXTS, "new, 12!", "new, 12!"], kind=kind)
    assert tokenizer.encode(["ＮＥＷ，１２！"]) == tokenizer.encode(["new,12!"])
    assert tokenizer.unk_id not in tokenizer.encode(["ＮＥＷ，１２！"])[0]


def test_pieces_stand_where_their_characters_do() -> None:
    text = "我 ＮＥＷ，Löwest\u0301 北"
    [(ids, offsets)] = learn(kind="characters").encode_spans([text])
    assert len(ids) == len(offsets)
    assert [text[a:b] for a, b in offsets] == ["我", "Ｎ", "Ｅ", "Ｗ", "，", *"Löwes", "t", "北"]


def test_words_are_whole_or_unknown() -> None:
    assert pieces(learn(kind="words"), "low lowest lows") == ["low", "lowest", "[UNK]"]


def test_characters_begin_a_word_or_stand_inside() -> None:
    assert pieces(learn(kind="characters"), "new an") == ["n", "##e", "##w", "a", "##n"]


def test_parts_of_words_are_joined_by_how_often_they_are_neighbors() -> None:
    words = Counter({"low": 5, "lower": 2, "newest": 6, "widest": 3})  # the example of Sennrich et al. 2016
    found = learned(PieceTokenizerSettings(min_frequency=1), words, room=1000)
    joins = [piece for piece in found if len(piece.removeprefix("##")) > 1]
    assert joins[:4] == ["##es", "##est", "##ow", "low"]
    assert {"newest", "widest", "lower"} <= set(joins)


@pytest.mark.parametrize(
    ("kind", "most"), [("wordpiece", 26), ("unigram", 30), ("words", 16), ("characters", 26), ("bpe", 265)]
)
def test_no_more_tokens_than_asked_for(kind: str, most: int) -> None:
    assert learn(kind=kind, vocab_size=most).vocab_size == most
    assert learn(kind=kind).vocab_size < 400


def test_what_occurs_too_seldom_is_unknown() -> None:
    once = [*TEXTS, "零 rare"]
    assert pieces(learn(once, kind="words"), "零 rare") == ["[UNK]", "[UNK]"]
    assert pieces(learn(once, kind="words", min_frequency=1), "零 rare") == ["零", "rare"]


def test_case_is_kept_where_asked_for() -> None:
    texts = ["Ada sees ada"] * 2
    assert pieces(learn(texts, kind="words", lowercase=False), "Ada ada") == ["Ada", "ada"]
    assert pieces(learn(texts, kind="words"), "Ada ada") == ["ada", "ada"]


@pytest.mark.parametrize("kind", ["wordpiece", "words", "characters"])
def test_special_tokens_and_marks_are_known_from_no_text_at_all(kind: str) -> None:
    tokenizer = learn([], kind=kind)
    assert tokenizer.vocab_size == len(SPECIAL) + len(MARKS)
    assert pieces(tokenizer, "@#") == ["@", "#"]
    assert (tokenizer.prefix, tokenizer.middle, tokenizer.suffix, tokenizer.types) == ([2], [3], [3], True)


def test_the_order_of_the_texts_makes_no_difference() -> None:
    assert learn(TEXTS[::-1]).digest == learn().digest


def test_it_is_read_back_as_it_was_learned(tmp_path: Path) -> None:
    from hone.models.tokenizer import load_tokenizer

    tokenizer = learn()
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.digest == tokenizer.digest
    assert again.max_tokens == 64

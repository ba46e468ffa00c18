"""Beam search for texts that contain given words."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from small_tokenizers import END, KINDS, vocabulary_for
from table_writer import TableWriter, random_writer
from tokenizers import Tokenizer

from hone.core.errors import RecipeError
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings
from hone.text.words import contains_word

LETTERS = Vocabulary(
    (0,),
    encode=lambda texts: [[" ab".index(c) + 1 for c in text] for text in texts],
    decode=lambda ids: "".join(" ab"[i - 1] for i in ids if 0 < i < 4),
)


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return KINDS[request.param]()


@pytest.mark.parametrize("words", [["cat"], ["the", "name"], ["catalog", "cat", "true"]])
def test_every_text_contains_every_word(words: list[str], tokenizer: Tokenizer) -> None:
    writer = random_writer(places=3, tokens=tokenizer.get_vocab_size(), seed=1)
    settings = DecodingSettings(max_new_tokens=24, num_beams=3, num_return_sequences=2, required_words=words)
    found = generate(writer, [[5], [6, 7]], settings, vocabulary=vocabulary_for(tokenizer))
    for text in itertools.chain(*found):
        assert text.satisfied is True
        assert all(contains_word(text.text or "", word) for word in words)
    [alone] = generate(writer, [[5]], settings, vocabulary=vocabulary_for(tokenizer))
    assert [text.ids for text in alone] == [text.ids for text in found[0]]


def test_words_fit_to_the_last_token(tokenizer: Tokenizer) -> None:
    words = vocabulary_for(tokenizer)
    assert words.encode is not None
    count = sum(len(ids) for ids in words.encode([" cat", " name"]))
    writer = random_writer(tokens=tokenizer.get_vocab_size(), seed=2)
    settings: dict[str, Any] = {"num_beams": 2, "required_words": ["cat", "name"]}
    [[text, *_]] = generate(writer, [[5]], DecodingSettings(max_new_tokens=count, **settings), vocabulary=words)
    assert text.satisfied is True
    [[text, *_]] = generate(writer, [[5]], DecodingSettings(max_new_tokens=1, **settings), vocabulary=words)
    assert (text.ended, text.satisfied) == ("length", False)


def test_a_wide_search_finds_the_likeliest_text_with_the_word() -> None:
    """Against all texts of at most five tokens of a vocabulary of three letters."""
    for seed in range(5):
        writer = random_writer(places=5, tokens=4, seed=seed)
        settings = DecodingSettings(max_new_tokens=5, num_beams=40, length_penalty=0.0, required_words=["ab"],
                                    early_stopping="never")  # fmt: skip
        [[text, *_]] = generate(writer, [[1]], settings, vocabulary=LETTERS)
        assert text.log_probability == pytest.approx(likeliest(writer), abs=1e-4)
        assert contains_word(text.text or "", "ab")


def likeliest(writer: TableWriter) -> float:
    best = -math.inf
    chances = writer.table.log_softmax(dim=-1)
    for length in range(6):
        for ids in itertools.product((1, 2, 3), repeat=length):
            assert LETTERS.decode is not None
            if contains_word(LETTERS.decode(ids), "ab"):
                told = [*ids, 0] if length < 5 else [*ids]
                steps = zip([1, *told], told, strict=False)
                best = max(best, sum(float(chances[min(i, 4), a, b]) for i, (a, b) in enumerate(steps)))
    return best


@pytest.mark.parametrize(
    ("text", "word", "is_there"),
    [
        ("a cat.", "cat", True),
        ("catalog", "cat", False),
        ("concat cat", "cat", True),
        ("bobcat", "cat", False),
        ("我爱机器学习", "机器", True),
        ("Cat", "cat", False),
        ("(cat)", "(cat", True),
        ("3D-cats", "3D", True),
    ],
)
def test_a_word_is_no_part_of_a_longer_one(text: str, word: str, is_there: bool) -> None:
    assert contains_word(text, word) is is_there


def test_a_word_that_cannot_be_written_is_told() -> None:
    words = vocabulary_for(KINDS["metaspace"]())
    settings = DecodingSettings(num_beams=2, required_words=["机器"])
    with pytest.raises(RecipeError) as refused:
        generate(random_writer(tokens=99), [[1]], settings, vocabulary=words)
    assert refused.value.code == "decoding.required-word"


def test_a_word_that_other_controls_forbid_is_not_there_and_that_is_said() -> None:
    settings = DecodingSettings(num_beams=2, max_new_tokens=4, required_words=["ab"], bad_words=["b"])
    writer = random_writer(tokens=4)
    writer.table[:, :, 0] -= torch.tensor(1.0)
    [[text, *_]] = generate(writer, [[1]], settings, vocabulary=LETTERS)
    assert text.satisfied is False
    assert END not in (text.text or "")

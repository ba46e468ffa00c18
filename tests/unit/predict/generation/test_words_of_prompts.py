"""Prompts that each have words of their own are worked on in one search, and each comes to what it does by itself."""

from __future__ import annotations

from typing import Any

import pytest
from small_tokenizers import KINDS, vocabulary_for
from table_writer import random_writer

from hone.predict.generation.generate import generate
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

TOKENS = 99  # of this tokenizer
PROMPTS = [[5], [6, 7], [8], [9, 5, 6], [7]]
BAD: list[dict[str, Any]] = [
    {},
    {"bad_words": ["e", "the"]},
    {"bad_words": ["name", "a"]},
    {"bad_words": ["e", "the"]},
    {},
]
REQUIRED: list[dict[str, Any]] = [
    {},
    {"required_words": ["cat"]},
    {"required_words": ["the", "name"], "bad_words": ["cat"]},
    {"bad_words": ["true", "e"]},
    {"required_words": ["cat"]},
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return vocabulary_for(KINDS["metaspace"]())


@pytest.mark.parametrize("room", [16384, 60])
@pytest.mark.parametrize(
    ("search", "words"),
    [({}, BAD), ({"do_sample": True, "num_return_sequences": 2}, BAD), ({"penalty_alpha": 0.5, "top_k": 3}, BAD),
     ({"num_beams": 3, "num_return_sequences": 2}, REQUIRED)],
    ids=["greedy", "sample", "contrastive", "beam"],
)  # fmt: skip
def test_each_is_written_as_by_itself(
    search: dict[str, Any], words: list[dict[str, Any]], room: int, vocabulary: Vocabulary
) -> None:
    writer = random_writer(places=3, tokens=TOKENS, seed=4)
    plain = DecodingSettings(max_new_tokens=12, **search)
    each = [DecodingSettings(max_new_tokens=12, **search, **own) for own in words]
    own = [Words(settings, vocabulary) for settings in each]
    found = generate(writer, PROMPTS, plain, vocabulary=vocabulary, words=own, tokens_at_once=room)
    for texts, prompt, settings in zip(found, PROMPTS, each, strict=True):
        [alone] = generate(writer, [prompt], settings, vocabulary=vocabulary)
        assert [(text.ids, text.satisfied) for text in texts] == [(text.ids, text.satisfied) for text in alone]


def test_they_are_read_together(vocabulary: Vocabulary) -> None:
    writer = random_writer(places=3, tokens=TOKENS, seed=4)
    settings = DecodingSettings(max_new_tokens=12, num_beams=3)
    own = [Words(settings.model_copy(update=words), vocabulary) for words in REQUIRED]
    generate(writer, PROMPTS, settings, vocabulary=vocabulary, words=own)
    assert writer.begun == [len(PROMPTS)]

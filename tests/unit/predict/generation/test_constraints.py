"""Texts that keep to a regular expression or a JSON schema, by every search and every kind of tokenizer."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from typing import Any

import pytest
from small_tokenizers import END, KINDS, vocabulary_for
from table_writer import TableWriter, random_writer, saying, together_of
from tokenizers import Tokenizer, decoders, models

from hone.core.errors import BundleError, RecipeError
from hone.models.spellings import spellings_of
from hone.predict.generation.generate import generate
from hone.predict.generation.guide import Guide
from hone.predict.generation.stream import stream
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.decoding import DecodingSettings
from hone.text.constraints import Constraint

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"enum": ["x", "yy"]}},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "true": {"type": "boolean"},
    },
    "required": ["name", "tags", "true"],
    "additionalProperties": False,
}
REGEX = r"(name|cat)( [a-z]{2,4})+\."
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"num_beams": 2, "num_return_sequences": 2},
    "sample": {"do_sample": True, "temperature": 1.5, "num_return_sequences": 2},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def words(tokenizer: Tokenizer) -> Vocabulary:
    return vocabulary_for(tokenizer)


def writer_for(tokenizer: Tokenizer, *, seed: int = 0) -> TableWriter:
    writer = random_writer(places=3, tokens=tokenizer.get_vocab_size(), seed=seed)
    writer.table[:, :, tokenizer.token_to_id(END)] -= 3  # texts end late where nothing else ends them
    return writer


def test_a_text_is_the_spellings_of_its_tokens(tokenizer: Tokenizer, words: Vocabulary) -> None:
    spelled = spellings_of(tokenizer)
    assert words.decode is not None
    numbers = random.Random(0)
    begins = [i for i, told in enumerate(spelled.tokens) if told.startswith(b" ") and told.strip()]
    tokens = [i for i, told in enumerate(spelled.tokens) if told and "\ufffd" not in told.decode(errors="replace")]
    for _ in range(200):
        ids = [numbers.choice(begins), *numbers.choices(tokens, k=numbers.randrange(6))]
        text = b"".join(spelled.tokens[i] for i in ids).decode(errors="replace")
        assert words.decode(ids) == (text if spelled.space == "none" else text[1:])


def test_tokens_are_allowed_that_lead_to_a_text_of_the_language_and_no_others(
    tokenizer: Tokenizer, words: Vocabulary
) -> None:
    language = ["cat", "catalog", "ca7", "name: x", "name,"]
    guide = Guide(Constraint(regex="|".join(map(re.escape, language))), words, size=tokenizer.get_vocab_size())
    spelled = spellings_of(tokenizer)
    spaces = {"none": [""], "optional": ["", " "], "required": [" "]}[spelled.space]
    whole = [f"{space}{text}".encode() for space in spaces for text in language]
    seen = 0

    def walk(matcher: Any, before: bytes) -> None:
        nonlocal seen
        allowed = set(guide.allowed(matcher).tolist())
        rest = {text[len(before) :] for text in whole if text.startswith(before)}
        right = {i for i, told in enumerate(spelled.tokens) if told and any(one.startswith(told) for one in rest)}
        sure = os.path.commonprefix([*rest])  # where all texts go on alike, the tokenizer's own tokens alone are left
        assert allowed == right if not sure else allowed <= right and bool(allowed) == bool(right)
        assert bool(guide.masks([matcher])[0][guide.ends[0]]) == (before in whole)
        seen += 1
        for token in allowed:
            ahead = matcher.deep_copy()
            assert ahead.consume_token(token)
            walk(ahead, before + spelled.tokens[token])

    walk(guide.begin(), b"")
    assert seen > 20


CONSTRAINTS: dict[str, dict[str, Any]] = {"schema": {"json_schema": SCHEMA}, "regex": {"regex": REGEX}}


def require_kept(text: Written, constraint: str) -> None:
    assert text.satisfied is True
    if constraint == "regex":
        assert re.fullmatch(REGEX, text.text or "")
    else:
        assert set(json.loads(text.text or "")) >= set(SCHEMA["required"])


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_every_search_keeps_to_it_and_one_alone_writes_the_same_in_a_batch(search: str, constraint: str) -> None:
    tokenizer = KINDS["byte_level"]()
    words, writer = vocabulary_for(tokenizer), writer_for(tokenizer)
    settings = DecodingSettings(max_new_tokens=40, **CONSTRAINTS[constraint], **SEARCHES[search])
    prompts = [[5], [6, 7]]
    found = generate(writer, prompts, settings, vocabulary=words)
    for prompt, texts in zip(prompts, found, strict=True):
        for text in texts:
            require_kept(text, constraint)
        [alone] = generate(writer, [prompt], settings, vocabulary=words)
        assert [text.text for text in alone] == [text.text for text in texts]


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_every_tokenizer_keeps_to_it(constraint: str, tokenizer: Tokenizer, words: Vocabulary) -> None:
    settings = DecodingSettings(max_new_tokens=56, **CONSTRAINTS[constraint])
    found = generate(writer_for(tokenizer), [[5], [6, 7, 8]], settings, vocabulary=words)
    assert [len(texts) for texts in found] == [1, 1]
    for [text] in found:
        require_kept(text, constraint)


def test_a_text_that_would_never_end_is_ended_in_time(tokenizer: Tokenizer, words: Vocabulary) -> None:
    size = tokenizer.get_vocab_size()
    letter = next(i for i, told in enumerate(spellings_of(tokenizer).tokens) if told == b"a")
    writer = saying([letter] * 200, tokens=size)
    settings = DecodingSettings(max_new_tokens=70, json_schema=SCHEMA)
    [[text]] = generate(writer, [[letter]], settings, vocabulary=words)
    assert text.satisfied is True
    assert "aaaaaaaaaa" in json.loads(text.text or "")["name"]


def test_a_text_that_has_no_room_says_that_it_was_cut(tokenizer: Tokenizer, words: Vocabulary) -> None:
    settings = DecodingSettings(max_new_tokens=4, json_schema=SCHEMA)
    [[text]] = generate(writer_for(tokenizer), [[5]], settings, vocabulary=words)
    assert (text.ended, text.satisfied) == ("length", False)


def test_a_stream_keeps_to_it() -> None:
    tokenizer = KINDS["byte_level"]()
    words = vocabulary_for(tokenizer)
    settings = DecodingSettings(max_new_tokens=40, json_schema=SCHEMA)
    pieces = "".join(stream(together_of(writer_for(tokenizer)), [5], settings, vocabulary=words))
    assert json.loads(pieces)
    assert pieces == generate(writer_for(tokenizer), [[5]], settings, vocabulary=words)[0][0].text


def test_what_the_tokens_cannot_say_is_told() -> None:
    words = vocabulary_for(KINDS["metaspace"]())
    with pytest.raises(RecipeError) as refused:
        generate(random_writer(tokens=99), [[1]], DecodingSettings(regex="机器"), vocabulary=words)
    assert refused.value.code == "decoding.constraint"


@pytest.mark.parametrize("decoder", [None, decoders.BPEDecoder(), decoders.CTC()])
def test_a_decoder_that_is_not_understood_is_told(decoder: Any) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    if decoder is not None:
        tokenizer.decoder = decoder
    with pytest.raises(BundleError) as refused:
        spellings_of(tokenizer)
    assert refused.value.code == "decoding.tokenizer"


INTEGERS = json.dumps({"type": "array", "items": {"type": "integer"}})


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        (Constraint(regex="(?s:a.*)b?"), ["a", "axb", "a\nb"], ["", "b", "ba"]),
        (Constraint(regex="[a-c]{2}"), ["".join(p) for p in itertools.product("abc", repeat=2)], ["a", "aaa", "ad"]),
        (Constraint(json_schema=INTEGERS), ["[]", "[1, 2]", "[1,2]"], ["[1,  2]", "[1.5]", "[01]", "[", ' ["a"]']),
    ],
)
def test_a_constraint_holds_of_its_texts_alone(constraint: Constraint, inside: list[str], outside: list[str]) -> None:
    assert all(constraint.holds(text) for text in inside)
    assert not any(constraint.holds(text) for text in outside)

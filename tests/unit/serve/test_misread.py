"""A request of the wrong shape is told by its own keys, without the alternatives that the schema tried."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hone.data.fields import Field
from hone.serve.misread import misread
from hone.serve.requests import expected_of, request_of

TURNS = [(Field("turns", "turns"),)]
TEXT = [(Field("text", "text"),)]
PAIR = [(Field("text", "text"), Field("text_pair", "text"))]
CONTROLLED = [(Field("text", "text"), Field("words", "words"))]


@pytest.mark.parametrize(
    ("choices", "body", "said"),
    [
        (TURNS, {"inputs": "hello"}, "inputs is the text 'hello'"),
        (TURNS, {"inputs": {"turns": "hello"}}, "inputs.turns is the text 'hello'"),
        (TURNS, {"inputs": {"turns": [{"text": "a"}]}}, "inputs.turns.0.role is missing"),
        (TEXT, {"input": "a"}, "inputs is missing; the unknown key 'input', which may be meant as 'inputs'"),
        (TEXT, {"inputs": 5}, "inputs is the number 5"),
        (TEXT, {"inputs": "a", "decoding": "fast"}, "decoding is the text 'fast'"),
        (CONTROLLED, {"inputs": {"text": "a", "words": ["x" * 201]}},
         "inputs.words.0: String should have at most 200 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_once(choices: Any, body: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        request_of(choices, writes=True).model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in raised.value.errors()]
    assert misread(errors, expected=expected_of(choices, writes=True)) == said


@pytest.mark.parametrize(
    ("choices", "body", "said"),
    [
        (TEXT, {"inputs": "a", "stream": True}, "the unknown key 'stream'"),
        (TEXT, {"inputs": "a", "str": 1}, "the unknown key 'str'"),
        (PAIR, {"inputs": {"text": "a", "pair": "b"}},
         "inputs.text_pair is missing; the unknown key 'inputs.pair'"),
    ],
)  # fmt: skip
def test_only_a_key_that_the_request_can_have_there_is_suggested(choices: Any, body: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        request_of(choices, writes=False).model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in raised.value.errors()]
    assert misread(errors, expected=expected_of(choices)) == said


def test_what_is_no_json_is_said_with_its_place() -> None:
    error = {
        "type": "json_invalid",
        "loc": ("body", 1),
        "msg": "JSON decode error",
        "ctx": {"error": "Expecting property"},
    }
    assert misread([error], expected="") == "no JSON: Expecting property at character 1"

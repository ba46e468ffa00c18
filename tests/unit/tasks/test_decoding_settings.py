"""Which settings of decoding go together."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import ValidationError

from hone.core.errors import MissingExtra
from hone.tasks.decoding import DecodingSettings


@pytest.mark.parametrize(
    ("values", "search"),
    [
        ({}, "greedy"),
        ({"num_beams": 4, "early_stopping": "never", "num_return_sequences": 3}, "beam"),
        ({"do_sample": True, "top_k": 5, "min_p": 0.1, "num_return_sequences": 9}, "sample"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "contrastive"),
    ],
)
def test_settings_tell_the_search(values: dict[str, Any], search: str) -> None:
    assert DecodingSettings(**values).search == search


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"num_beams": 2, "do_sample": True}, "one search"),
        ({"num_beams": 2, "penalty_alpha": 0.5, "top_k": 4}, "one search"),
        ({"penalty_alpha": 0.5}, "top_k of 2 or more"),
        ({"penalty_alpha": 0.5, "top_k": 1}, "top_k of 2 or more"),
        ({"num_return_sequences": 2}, "num_beams of 2 or more"),
        ({"num_beams": 2, "num_return_sequences": 3}, "no more than num_beams"),
        ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens"),
        ({"temperature": 0.5, "top_p": 0.9}, "temperature, top_p"),
        ({"seed": 3}, "do_sample, which alone reads seed"),
        ({"num_beams": 2, "top_k": 3}, "do_sample or penalty_alpha"),
        ({"early_stopping": True}, "num_beams above 1"),
        ({"penalty_alpha": 0.5, "top_k": 4, "min_p": 0.5}, "do_sample"),
    ],
)
def test_what_does_not_go_together_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        DecodingSettings(**values)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValidationError, match=r"one search.*min_new_tokens"):
        DecodingSettings(num_beams=2, do_sample=True, min_new_tokens=9, max_new_tokens=3)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"regex": "(a"}, "unclosed group"),
        ({"regex": "(?=a)b"}, "look-around"),
        ({"regex": r"[^\x00-\U0010FFFF]"}, "no text is allowed"),
        ({"json_schema": {"type": "integr"}}, "Invalid type: integr"),
        ({"json_schema": {"x-guidance": "a"}}, 'x-guidance is "a", and has to be an object'),
        ({"json_schema": {"x-guidance": None}}, "x-guidance is null, and has to be an object"),
        ({"json_schema": {"type": "integer", "minimum": 5, "maximum": 3}}, "Unsatisfiable schema"),
        ({"json_schema": {"type": "array", "uniqueItems": True}}, "uniqueItems"),
        ({"regex": "a", "json_schema": {}}, "not both"),
        ({"regex": "a", "stop_strings": ["b"], "min_new_tokens": 2}, "no min_new_tokens, stop_strings"),
    ],
)
def test_a_constraint_that_cannot_be_kept_to_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        DecodingSettings(**values)


def test_what_reads_constraints_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingExtra, match=r"hone\[constraints\]"):
        DecodingSettings(regex="a")
    assert DecodingSettings(regex=None).constraint is None

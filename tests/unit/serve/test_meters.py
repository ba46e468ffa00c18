"""What is counted, and what a request may hold."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import generate_latest
from pydantic import ValidationError

from hone.data.fields import Field
from hone.serve.meters import Meters
from hone.serve.requests import request_of


def test_answers_failures_and_cut_inputs_are_counted() -> None:
    meters = Meters()
    meters.answered([{"truncated": True}, {"truncated": False}, {}], seconds=0.02)
    meters.answered([], seconds=30.0)
    meters.failed("request.invalid")
    lines = generate_latest(meters.registry).decode().splitlines()
    for line in (
        'hone_requests_total{outcome="answered"} 2.0',
        'hone_requests_total{outcome="request.invalid"} 1.0',
        "hone_inputs_total 3.0",
        "hone_truncated_inputs_total 1.0",
        'hone_predict_seconds_bucket{le="0.025"} 1.0',
        "hone_predict_seconds_count 2.0",
    ):
        assert line in lines


def test_two_applications_count_apart() -> None:
    one, other = Meters(), Meters()
    one.failed("x")
    assert b'outcome="x"' not in generate_latest(other.registry)


TEXT = ((Field("text", "text"),),)
TOKENS = ((Field("tokens", "tokens"),), (Field("text", "text"),))


@pytest.mark.parametrize(
    ("choices", "inputs"), [(TEXT, "a"), (TEXT, ["a"]), (TEXT, []), (TOKENS, [["a"]]), (TOKENS, "a")]
)
def test_a_request_takes_what_the_task_reads(choices: Any, inputs: Any) -> None:
    assert request_of(choices).model_validate({"inputs": inputs}).model_dump() == {"inputs": inputs}


@pytest.mark.parametrize("inputs", [[["a"]], 5, None, [None], {"text": "a"}])
def test_a_request_refuses_anything_else(inputs: Any) -> None:
    with pytest.raises(ValidationError):
        request_of(TEXT).model_validate({"inputs": inputs})

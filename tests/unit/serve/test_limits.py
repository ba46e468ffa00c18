"""The bound on bodies counts what comes in, whatever the headers say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from hone.core.errors import DataError
from hone.data.fields import Field
from hone.predict.predictor import load
from hone.serve.app import make_app
from hone.serve.limits import (
    MAX_CHARACTERS,
    MAX_INPUTS,
    MAX_WORK,
    BodyLimit,
    most_to_read,
    require_few,
    require_room,
    require_short,
)
from hone.serve.requests import MAX_WORD, MAX_WORDS, request_of
from hone.tasks.decoding import DecodingSettings

Message = MutableMapping[str, Any]


class Echo:
    """An application that keeps the bodies it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.scopes: list[str] = []
        self.last: Message = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope["type"])
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = bool(message.get("more_body"))
        self.bodies.append(body)
        self.last = await receive()


def ask(app: Echo, chunks: list[bytes], *, stated: str | None = None, kind: str = "http") -> list[Message]:
    """Send a request in chunks; returns what was answered."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1} for i, chunk in enumerate(chunks)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if stated is None else [(b"content-length", stated.encode())]
    asyncio.run(BodyLimit(app, limit_bytes=10)({"type": kind, "headers": headers}, receive, send))
    return sent


@pytest.mark.parametrize("chunks", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
def test_a_body_within_the_bound_reaches_the_application_whole(chunks: list[bytes]) -> None:
    app = Echo()
    assert ask(app, chunks) == []
    assert app.bodies == [b"".join(chunks)]
    assert app.last == {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("chunks", "stated"),
    [
        ([b"01234567890"], None),
        ([b"012345", b"67890", b"never read"], None),
        ([b"x"], "11"),
        ([b"x"], "9" * 5000),
        ([b"01234567890"], "1"),
        ([b"01234567890"], "-1"),
        ([b"01234567890"], "many"),
    ],
)
def test_a_body_over_the_bound_is_refused(chunks: list[bytes], stated: str | None) -> None:
    app = Echo()
    start, body = ask(app, chunks, stated=stated)
    assert start["status"] == 413
    assert json.loads(body["body"])["code"] == "request.too-large"
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert app.bodies == []


def test_what_is_no_request_passes_through() -> None:
    app = Echo()
    assert ask(app, [], kind="lifespan") == []
    assert app.scopes == ["lifespan"]


def test_a_client_that_hangs_up_ends_the_reading() -> None:
    app = Echo()
    assert ask(app, []) == []
    assert app.bodies == [b""]


def test_a_long_constraint_is_refused_before_it_is_read() -> None:
    with pytest.raises(DataError, match="characters"):
        require_short({"regex": "(" * (MAX_CHARACTERS + 1)}, DecodingSettings())


def test_what_the_bundle_has_itself_counts_as_nothing() -> None:
    own = DecodingSettings(stop_strings=["x" * MAX_CHARACTERS])
    asked = {"stop_strings": own.stop_strings, "num_beams": 2}
    with pytest.raises(DataError, match="characters"):
        require_short(asked, DecodingSettings())
    require_short(asked, own)  # raises nothing


def test_words_of_a_row_are_bounded() -> None:
    request = request_of([(Field("text", "text"), Field("bad_words", "words", required=False))])
    request.model_validate({"inputs": {"text": "a", "bad_words": ["b" * MAX_WORD] * MAX_WORDS}})
    for odd in (["b" * (MAX_WORD + 1)], ["b"] * (MAX_WORDS + 1)):
        with pytest.raises(ValidationError):
            request.model_validate({"inputs": {"text": "a", "bad_words": odd}})


def test_choices_of_an_input_are_bounded_by_the_schema() -> None:
    request = request_of([(Field("question", "text"), Field("choices", "texts"))])
    request.model_validate({"inputs": {"question": "a", "choices": ["b"] * MAX_INPUTS}})
    with pytest.raises(ValidationError):
        request.model_validate({"inputs": {"question": "a", "choices": ["b"] * (MAX_INPUTS + 1)}})


def test_choices_of_all_inputs_are_counted_together() -> None:
    half = {"question": "a", "choices": ["b"] * (MAX_INPUTS // 2)}
    require_few([half, half], several={"choices"})  # raises nothing
    require_few(["a"] * MAX_INPUTS, several=())
    with pytest.raises(DataError, match="1,025 inputs in one request, each of their choices counted") as refused:
        require_few([half, half, {"question": "a", "choices": ["b"]}], several={"choices"})
    assert refused.value.code == "request.too-many-inputs"
    with pytest.raises(DataError, match="1,025 inputs in one request. Expected at most 1,024"):
        require_few([{"question": "a", "choices": []}] * (MAX_INPUTS + 1), several=())


def test_as_many_inputs_as_may_be_are_read_in_one_row_each_whatever_the_base() -> None:
    assert most_to_read(128) == MAX_WORK
    assert most_to_read(8192) == MAX_INPUTS * 8192


def test_a_request_of_too_many_tokens_is_refused(text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.serve.app.most_to_read", lambda row_tokens: 12)
    with TestClient(make_app(load(text_bundle, device="cpu"))) as client:
        assert client.post("/predict", json={"inputs": ["refund please"] * 3}).status_code == 200
        refused = client.post("/predict", json={"inputs": ["refund please"] * 4})
    assert (refused.status_code, refused.json()["code"]) == (422, "data.too-many-tokens")
    assert "found 16 tokens to read" in refused.json()["message"]
    assert "at most 12" in refused.json()["message"]


def room(asked: DecodingSettings, own: DecodingSettings | None = None, *, tokens: int = 10, inputs: int = 1) -> None:
    require_room(asked, own or DecodingSettings(), input_tokens=[tokens] * inputs, most_tokens=100_000)


def test_every_continuation_that_contrastive_search_compares_is_held() -> None:
    compared: dict[str, Any] = {"penalty_alpha": 0.6, "max_new_tokens": 100}
    with pytest.raises(DataError, match="1,024 times an input of 10 and 100 to write") as refused:
        room(DecodingSettings(top_k=1024, **compared))
    assert refused.value.faults[0].code == "request.decoding-bound"
    room(DecodingSettings(top_k=500, **compared))
    room(DecodingSettings(top_k=1024, do_sample=True, max_new_tokens=100))  # chosen among, and never read


def test_an_input_is_held_with_each_beam_and_read_once() -> None:
    beams = DecodingSettings(num_beams=16, max_new_tokens=96)
    room(beams, tokens=4000)
    with pytest.raises(DataError, match="65,552 tokens to hold"):
        room(beams, tokens=4001)
    room(beams, tokens=1000, inputs=400)  # 1,014,400 to read and write
    with pytest.raises(DataError, match="tokens to read and write"):
        room(beams, tokens=1000, inputs=1000)


def test_a_text_is_no_longer_than_the_model_can_write() -> None:
    asked = DecodingSettings(num_beams=16, max_new_tokens=4096)
    require_room(asked, DecodingSettings(), input_tokens=[900], most_tokens=1024)
    with pytest.raises(DataError, match="tokens to hold"):
        require_room(asked, DecodingSettings(), input_tokens=[900], most_tokens=4096)


def test_what_the_bundle_does_by_itself_is_allowed_of_any_input() -> None:
    own = DecodingSettings(penalty_alpha=0.6, top_k=100, max_new_tokens=100)
    room(own.model_copy(update={"top_k": 90}), own, tokens=5000, inputs=1024)
    with pytest.raises(DataError, match="tokens to hold"):
        room(own.model_copy(update={"top_k": 101}), own, tokens=5000)

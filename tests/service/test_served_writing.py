"""A bundle that writes, behind a real server process: settings of one request, and texts in pieces."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

import hone

LONG = {"max_new_tokens": 4000, "min_new_tokens": 4000}


class Service(NamedTuple):
    address: str
    bundle: Path

    def ask(self, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.address}/predict", json=body, timeout=60)

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.address}/metrics").text
        return float(dict(re.findall(r"^(hone_\S+) (\S+)$", text, flags=re.MULTILINE)).get(name, 0))

    def events(self, **body: Any) -> list[tuple[str, dict[str, Any]]]:
        answer = self.ask(stream=True, **body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = [part.split("\n") for part in answer.text.strip().split("\n\n")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in found]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("served-writing")
    data = folder / "rows.jsonl"
    data.write_text("".join(f'{{"prompt": "a b {i}", "text": " c d e {i}"}}\n' for i in range(8)), encoding="utf-8")
    base = {"architecture": "gpt2", "layers": 1, "hidden": 16, "heads": 2, "inner": 16, "max_length": 4096}
    values = {"version": 1, "task": {"name": "text-generation", "decoding": {"max_new_tokens": 6}}, "base": base,
              "data": {"train": str(data), "validation": "none"},
              "stages": [{"kind": "finetune", "max_steps": 1, "save_steps": None}]}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HONE_CACHE", str(folder / "cache"))
        bundle = hone.run(values, out=folder / "run").bundle.path
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hone", "serve", str(bundle), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        found = Service(f"http://127.0.0.1:{port}", bundle)
        until = time.monotonic() + 200
        while not _is_ready(found.address):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_a_request_has_settings_of_its_own(service: Service) -> None:
    chosen = {"max_new_tokens": 9, "min_new_tokens": 9, "do_sample": True, "temperature": 0.7, "seed": 3}
    answer = service.ask(inputs=["a b", "a"], decoding=chosen).json()["predictions"]
    assert answer == hone.load(service.bundle).decoding(**chosen).predict(["a b", "a"])
    assert {one["tokens"] for one in answer} == {9}
    assert service.ask(inputs="a b").json()["predictions"] == hone.load(service.bundle).predict("a b")


def test_a_request_has_a_schema_of_its_own(service: Service) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["b", "c"]}, "n": {"type": "integer"}},
              "required": ["a", "n"], "additionalProperties": False}  # fmt: skip
    chosen = {"json_schema": schema, "max_new_tokens": 60}
    answers = service.ask(inputs=["a b", "c"], decoding=chosen).json()["predictions"]
    assert [answer["satisfied"] for answer in answers] == [True, True]
    assert {json.loads(answer["text"])["a"] for answer in answers} <= {"b", "c"}
    *_, (_, last) = service.events(inputs="a b", decoding=chosen)
    assert last["prediction"]["text"] == answers[0]["text"]


@pytest.mark.parametrize(
    ("decoding", "code", "said"),
    [
        ({"temprature": 1.0}, "recipe.unknown-key", "Did you mean 'temperature'?"),
        ({"self": 1}, "recipe.unknown-key", "'self'"),
        ({"regex": "(a"}, "recipe.value-error", "unclosed group"),
        ({"temperature": 0.5}, "recipe.value-error", "do_sample"),
        ({"max_new_tokens": 5000}, "request.decoding-bound", "max_new_tokens"),
        ({"num_beams": 16, "max_new_tokens": 4000}, "request.decoding-bound", "tokens to read and write"),
        ({"penalty_alpha": 0.6, "top_k": 64, "max_new_tokens": 1100}, "request.decoding-bound", "to hold at once"),
        ({"stop_strings": ["x" * 20000]}, "request.decoding-bound", "characters"),
        ("fast", "request.invalid", "decoding"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(service: Service, decoding: Any, code: str, said: str) -> None:
    answer = service.ask(inputs=["a"] * 20, decoding=decoding)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert said in answer.json()["message"]


def test_requests_at_the_same_time_have_the_answers_of_each_alone(service: Service) -> None:
    chosen = {"max_new_tokens": 40, "min_new_tokens": 20, "do_sample": True}
    inputs = ["a b", "a", "b", "c a b", "b b", "c"]
    with ThreadPoolExecutor(len(inputs)) as threads:
        answers = list(threads.map(lambda one: service.ask(inputs=one, decoding=chosen).json()["predictions"], inputs))
    predictor = hone.load(service.bundle).decoding(**chosen)
    for (answer,), one in zip(answers, inputs, strict=True):
        (expected,) = predictor.predict(one)
        assert answer == {**expected, "score": pytest.approx(expected["score"], abs=1e-5)}


def test_a_stream_ends_with_the_answer_and_its_pieces_are_the_text(service: Service) -> None:
    chosen = {"max_new_tokens": 40, "do_sample": True, "seed": 1}
    *pieces, (name, last) = service.events(inputs="a b", decoding=chosen)
    assert name == "prediction"
    assert {kind for kind, _ in pieces} == {"piece"}
    assert "".join(piece["text"] for _, piece in pieces) == last["prediction"]["text"]
    assert [last["prediction"]] == hone.load(service.bundle).decoding(**chosen).predict("a b")
    assert last["bundle"] == service.ask(inputs=[]).json()["bundle"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"inputs": ["a", "b"]}, "data.one-input"),
        ({"inputs": []}, "data.one-input"),
        ({"inputs": "a", "decoding": {"num_beams": 2}}, "decoding.stream"),
    ],
)
def test_what_is_no_single_text_is_no_stream(service: Service, body: dict[str, Any], code: str) -> None:
    answer = service.ask(stream=True, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_client_that_goes_away_ends_its_stream(service: Service) -> None:
    before = service.metric('hone_requests_total{outcome="cancelled"}')
    body = {"inputs": "a", "decoding": {**LONG, "do_sample": True}, "stream": True}
    with httpx.stream("POST", f"{service.address}/predict", json=body, timeout=60):
        assert service.metric("hone_streams_in_flight") == 1
    until = time.monotonic() + 20
    while service.metric("hone_streams_in_flight") and time.monotonic() < until:
        time.sleep(0.02)
    assert service.metric('hone_requests_total{outcome="cancelled"}') == before + 1


def test_texts_that_nobody_waits_for_are_written_no_further(service: Service) -> None:
    name = 'hone_requests_total{outcome="generation.abandoned"}'
    before = service.metric(name)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.address}/predict", json={"inputs": ["a"] * 64, "decoding": LONG}, timeout=1)
    until = time.monotonic() + 30
    while service.metric(name) == before:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert service.metric("hone_requests_in_flight") == 0


def test_there_are_so_many_streams_and_no_more(service: Service) -> None:
    body = {"inputs": "a", "decoding": {**LONG, "do_sample": True}, "stream": True}
    opened = [httpx.Client(timeout=60) for _ in range(16)]
    try:
        sent = [one.send(one.build_request("POST", f"{service.address}/predict", json=body), stream=True)
                for one in opened]  # fmt: skip
        assert {answer.status_code for answer in sent} == {200}
        refused = service.ask(**body)
        assert (refused.status_code, refused.json()["code"]) == (429, "request.too-many-streams")
        assert service.ask(inputs="a").status_code == 200
        for answer in sent:
            answer.close()
    finally:
        for one in opened:
            one.close()


def test_what_was_written_is_counted_and_the_page_says_how(service: Service) -> None:
    before = service.metric("hone_written_tokens_total")
    answer = service.ask(inputs="a b").json()["predictions"][0]
    assert service.metric("hone_written_tokens_total") == before + answer["tokens"]
    page = httpx.get(f"{service.address}/docs").text
    assert '"stream": true' in page
    assert "max_new_tokens up to 4,096" in page
    schema = httpx.get(f"{service.address}/openapi.json").json()["components"]["schemas"]["Request"]
    assert "temperature" in json.dumps(schema["properties"]["decoding"])

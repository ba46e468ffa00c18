"""When a server process says that it serves, and when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

# Few seconds for what has been taken, then the command.
START = """
import sys
from hone.serve import server
server.ENDING_SECONDS = 1
from hone.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def process(text_bundle: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", START, "serve", str(text_bundle), "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as started:
        yield started
        started.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    """Where it says that it serves."""
    assert process.stderr is not None
    said = next(line for line in process.stderr if line.startswith("serving "))  # libraries warn before
    return said.partition(" on ")[2].partition(";")[0]


def test_what_says_that_it_serves_answers(process: subprocess.Popen[str]) -> None:
    address = address_of(process)
    assert httpx.get(f"{address}/readyz", timeout=20).text == "ok"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM


def test_a_client_that_stalls_does_not_keep_it_alive(process: subprocess.Popen[str]) -> None:
    address = address_of(process)
    place = urlsplit(address)
    with socket.create_connection((str(place.hostname), place.port or 0), timeout=20) as stalls:
        stalls.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
        assert httpx.get(f"{address}/livez", timeout=20).text == "ok"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM

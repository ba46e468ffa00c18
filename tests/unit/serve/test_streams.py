"""A stream is closed whenever its client goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, MutableMapping
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from hone.predict.generation.written import Written
from hone.predict.text_stream import TextStream
from hone.serve.streams import Sending


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_a_client_that_has_gone_before_the_first_event_ends_its_stream(version: str) -> None:
    asked: list[Callable[[], bool]] = []

    def begin(stopped: Callable[[], bool]) -> Generator[str, None, Written | None]:
        asked.append(stopped)
        return pieces()

    def pieces() -> Generator[str, None, Written | None]:
        yield "never asked for"
        return None

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        raise OSError("nobody is there")

    async def answer() -> None:
        response = Sending(TextStream(begin, lambda written: {}), asyncio.Queue())
        scope = {"type": "http", "asgi": {"spec_version": version}}
        with contextlib.suppress(ClientDisconnect, OSError):
            await response(scope, receive, send)

    asyncio.run(answer())
    [stopped] = asked
    assert stopped()

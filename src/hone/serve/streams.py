"""Texts that are sent while they are written, as server-sent events.

``event: piece`` with ``{"text"}`` for each piece; at the end ``event: prediction`` with ``{"prediction", "bundle"}``,
the same answer as without a stream; or ``event: error`` with ``{"code", "message"}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hone.core.errors import HoneError
from hone.predict.predictor import Predictor
from hone.predict.text_stream import TextStream
from hone.serve.meters import Meters

MAX_STREAMS = 16
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # nothing on the way may keep pieces back

logger = logging.getLogger(__name__)


class TooManyStreams(HoneError):
    """As many texts are being streamed as may be."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"found {most} texts that are being written in pieces already",
            expected="no more at a time",
            fix="Ask again when one has ended, or without a stream.",
            code="request.too-many-streams",
        )


class Streams:
    """Streams of one application, at most so many at a time, each written by a thread of its own.

    A stream counts until its thread has ended, which it does with the token at hand when its client goes away.
    """

    def __init__(self, meters: Meters, *, most: int = MAX_STREAMS) -> None:
        self._meters, self._most = meters, most
        self._open = 0  # changed on the event loop alone
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="stream")

    async def answer(self, predictor: Predictor, given: Any) -> StreamingResponse:
        """A response that is sent piece by piece.

        Raises:
            TooManyStreams: There is no room for one.
            DataError, RecipeError: The input or the settings cannot be used.
        """
        if self._open >= self._most:
            raise TooManyStreams(self._most)
        self._enter(1)
        try:
            stream = await asyncio.to_thread(predictor.write, given)
        except BaseException:
            self._enter(-1)
            raise
        told = asyncio.Queue[str | None]()
        loop = asyncio.get_running_loop()
        self._start(stream, digest=predictor.bundle.digest, tell=lambda said: _call(loop, told.put_nowait, said))
        return Sending(stream, told)

    def _enter(self, count: int) -> None:
        self._open += count
        self._meters.streams.set(self._open)

    def _start(self, stream: TextStream, *, digest: str, tell: Callable[[str | None], None]) -> None:
        """Have a thread write; ``tell`` is given each event, and None at the end."""
        began = time.perf_counter()

        def write() -> str:
            """Why it ended."""
            try:
                for piece in stream:
                    tell(event("piece", {"text": piece}))
                if stream.prediction is None:
                    return "cancelled"
                tell(event("prediction", {"prediction": stream.prediction, "bundle": digest}))
                self._meters.answered([stream.prediction], seconds=time.perf_counter() - began)
                return "answered"
            except HoneError as error:
                tell(event("error", {"code": error.code, "message": str(error)}))
                return error.code
            except Exception:
                logger.exception("a stream failed")
                said = "The request failed unexpectedly; see the server's log."
                tell(event("error", {"code": "hone.failed", "message": said}))
                return "hone.failed"
            finally:
                tell(None)

        def ended(outcome: str) -> None:
            self._enter(-1)
            if outcome != "answered":
                self._meters.failed(outcome)

        loop = asyncio.get_running_loop()
        done = self._threads.submit(write)
        done.add_done_callback(lambda task: _call(loop, ended, task.result()))


class Sending(StreamingResponse):
    """Sends what is told, until there is no more; the stream is closed then, and where the client has gone, be it
    before the first event."""

    def __init__(self, stream: TextStream, told: asyncio.Queue[str | None]) -> None:
        super().__init__(_each(told), media_type="text/event-stream", headers=HEADERS)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


async def _each(told: asyncio.Queue[str | None]) -> AsyncIterator[str]:
    while (said := await told.get()) is not None:
        yield said


def event(name: str, values: dict[str, Any]) -> str:
    """A server-sent event whose data is JSON on one line."""
    return f"event: {name}\ndata: {json.dumps(values, ensure_ascii=False)}\n\n"


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[Any], None], value: Any) -> None:
    """Call on the event loop; nothing where that has ended with the process."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, value)

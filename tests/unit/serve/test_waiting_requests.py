"""Requests whose texts are written together wait together, and leave checks of others their threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from fastapi import Request

from hone.serve.app import MOST_WAITING, answers

USUAL = min(32, (os.cpu_count() or 1) + 4)  # threads that asyncio has


class Together:
    """Answers none before so many ask."""

    def __init__(self, count: int) -> None:
        self._all = threading.Barrier(count)

    def until(self, stopped: Callable[[], bool]) -> Together:
        return self

    def predict(self, inputs: Sequence[Any]) -> list[dict[str, Any]]:
        self._all.wait(timeout=20)
        return [{"text": one} for one in inputs]


async def stays() -> MutableMapping[str, Any]:
    """A client that waits."""
    await asyncio.Event().wait()
    raise AssertionError("it never goes")


def test_more_texts_than_asyncio_has_threads_are_waited_for_at_a_time() -> None:
    count = USUAL + 8
    assert count <= MOST_WAITING
    predictor: Any = Together(count)
    request = cast(Request, Request({"type": "http"}, receive=stays))

    async def ask() -> list[list[dict[str, Any]]]:
        with ThreadPoolExecutor(MOST_WAITING) as threads:
            asked = [answers(predictor, [f"{i}"], request, threads=threads) for i in range(count)]
            whole = asyncio.gather(*asked)
            assert await asyncio.to_thread(lambda: "checked") == "checked"
            return await whole

    assert asyncio.run(ask()) == [[{"text": f"{i}"}] for i in range(count)]

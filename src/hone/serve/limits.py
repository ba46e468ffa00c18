"""Bounds of a request: its body, counted as it comes in, so that nothing larger is ever held; and what it may ask for
where a text is written."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from hone.core.errors import DataError, Fault
from hone.tasks.decoding import DecodingSettings

MAX_INPUTS = 1024  # of one request, each choice of an input counted; more belong into several, or into `hone predict`
MAX_DECODING = {"max_new_tokens": 4096, "num_beams": 16, "num_return_sequences": 16, "top_k": 1024}
MAX_WORK = 1 << 20  # tokens that a request may have a model read: its inputs, and what all texts and beams write
MAX_HELD = 1 << 16  # tokens that are held at once for one input: it and what is written, in every text or beam
MAX_CHARACTERS = 10_000  # of all texts in a request's decoding settings together


def require_few(inputs: Sequence[Any], *, several: Collection[str]) -> None:
    """Check how many inputs a request has; one with several texts in a field of ``several`` counts for each of them,
    for each is read.

    Raises:
        DataError: There are more than a request may have.
    """
    counts = [max([1, *(len(one.get(name, ())) for name in several)]) if several else 1 for one in inputs]
    if sum(counts) > MAX_INPUTS:
        more = f", each of their {' and '.join(sorted(several))} counted" if several else ""
        raise DataError(
            f"found {sum(counts):,} inputs in one request{more}",
            expected=f"at most {MAX_INPUTS:,}",
            fix="Send them in several requests.",
            code="request.too-many-inputs",
        )


def most_to_read(row_tokens: int) -> int:
    """Tokens that a request may have a model read whose rows have so many at most: as many inputs as it may have, one
    row each, are always allowed."""
    return max(MAX_WORK, MAX_INPUTS * row_tokens)


def require_short(values: Mapping[str, Any], own: DecodingSettings) -> None:
    """Check how long the settings of a request are, before any is read: a constraint is compiled for that.

    Raises:
        DataError: They are longer than a request's may be, those left out that the bundle has itself.
    """
    told = {name: value for name, value in values.items() if value != getattr(own, name, None)}
    count = len(json.dumps(told, ensure_ascii=False))
    if count > MAX_CHARACTERS:
        fault = _fault("decoding", f"settings of {count:,} characters", f"{MAX_CHARACTERS:,}")
        raise DataError.of([fault], what="the request's decoding")


def require_bounded(asked: DecodingSettings, own: DecodingSettings) -> None:
    """Check what a request asks for; what the bundle does by its own settings is always allowed.

    Raises:
        DataError: A setting is more than a request may have.
    """
    faults = []
    for name, most in MAX_DECODING.items():
        value, bound = getattr(asked, name) or 0, max(most, getattr(own, name) or 0)
        if value > bound:
            faults.append(_fault(f"decoding.{name}", value, bound))
    if faults:
        raise DataError.of(faults, what="the request's decoding")


def require_room(
    asked: DecodingSettings, own: DecodingSettings, *, input_tokens: Sequence[int], most_tokens: int
) -> None:
    """Check what a request's inputs cost by the settings that it asks for; by the bundle's own they may cost what they
    do.

    Args:
        input_tokens: Of each input.
        most_tokens: Most that the model writes.

    Raises:
        DataError: It is more than a request may have.
    """
    longest = max(input_tokens, default=0)
    mine, its = (min(settings.max_new_tokens, most_tokens) for settings in (asked, own))
    rows, faults = _rows(asked), []
    held, bound = rows * (longest + mine), max(MAX_HELD, _rows(own) * (longest + its))
    if held > bound:
        found = f"{held:,} tokens to hold at once: {rows:,} times an input of {longest:,} and {mine:,} to write"
        faults.append(_fault("decoding", found, f"{bound:,}"))
    work = sum(input_tokens) + len(input_tokens) * rows * mine
    bound = max(MAX_WORK, MAX_INPUTS * (longest + _rows(own) * its))
    if work > bound:
        found = f"{work:,} tokens to read and write, of all inputs, beams and texts"
        faults.append(_fault("decoding", found, f"{bound:,}"))
    if faults:
        raise DataError.of(faults, what="the request's decoding")


def _fault(field: str, found: object, most: object) -> Fault:
    return Fault("request.decoding-bound", found=str(found), expected=f"at most {most}", field=field)


def _rows(settings: DecodingSettings) -> int:
    """How many texts, beginnings or continuations of one input are held at a time."""
    compared = settings.top_k or 1 if settings.search == "contrastive" else 1
    return max(settings.num_beams, settings.num_return_sequences, compared)


class BodyLimit:
    """ASGI middleware that answers 413 once a body passes ``limit_bytes``."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self.app, self.limit_bytes = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if stated.isdigit() and (len(stated) > 20 or int(stated) > self.limit_bytes):
            await self._refuse(send)
            return
        messages: list[MutableMapping[str, Any]] = []
        size, more = 0, True
        while more:
            message = await receive()
            messages.append(message)
            if message["type"] != "http.request":
                break
            size += len(message.get("body", b""))
            more = bool(message.get("more_body"))
            if size > self.limit_bytes:
                await self._refuse(send)
                return

        async def replay() -> MutableMapping[str, Any]:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)

    async def _refuse(self, send: Send) -> None:
        message = f"Found a body of more than {self.limit_bytes:,} bytes. Send the inputs in several requests."
        body = json.dumps({"code": "request.too-large", "message": message}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})

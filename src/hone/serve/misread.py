"""What is wrong with a request that does not fit its schema, by the keys that were sent: pydantic also names each of
the alternatives that it tried."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hone.data.described import described

KEYS = ("inputs", "decoding", "stream")  # of requests; the last two of those to a task that writes
TRIED = re.compile(r"Input\d*|str|int|list\[.*\]|dict\[.*\]|constrained-str")  # no key of a schema is called so


def misread(errors: Sequence[Mapping[str, Any]], *, expected: str) -> str:
    """What pydantic found, in one line.

    Args:
        errors: As `RequestValidationError.errors` gives them; the first part of a place is ``body``.
        expected: What such a request looks like, as `hone.serve.requests.expected_of` says it.
    """
    keys = [key for key in KEYS if f'"{key}"' in expected]
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for error in errors:
        found.setdefault(_place(error), error)
    inner = [place for place in found if not any(other[: len(place)] == place != other for other in found)]
    return "; ".join(_told(".".join(place) or "the body", found[place], keys) for place in inner)


def _place(error: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that lead to what is wrong. The last one of an unknown key is the sender's, whatever it is called."""
    *outer, last = (str(part) for part in error["loc"])
    place = tuple(part for part in outer[1:] if not TRIED.fullmatch(part))
    sent = len(error["loc"]) > 1 and (error["type"] == "extra_forbidden" or not TRIED.fullmatch(last))
    return (*place, last) if sent else place


def _told(place: str, error: Mapping[str, Any], keys: Sequence[str]) -> str:
    kind = error["type"]
    if kind == "json_invalid":
        return f"no JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
    if kind == "missing":
        return f"{place} is missing"
    if kind == "extra_forbidden":
        near = [] if "." in place else difflib.get_close_matches(place, keys, n=1)
        return f"the unknown key {place!r}" + (f", which may be meant as {near[0]!r}" if near else "")
    if kind.endswith("_type"):
        return f"{place} is {described(error['input'])}"
    return f"{place}: {error['msg'].replace('Input should be ', '')}"

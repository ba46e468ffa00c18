"""What is wrong with a request that does not fit its schema, by the keys that were sent: pydantic also names each of
the alternatives that it tried."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hone.data.described import described

KEYS = ("inputs", "decoding", "stream")  # of any request
TRIED = re.compile(r"Input\d*|str|int|list\[.*\]|dict\[.*\]|constrained-str")  # no key of a request is called so


def misread(errors: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found, in one line.

    Args:
        errors: As `RequestValidationError.errors` gives them; the first part of a place is ``body``.
    """
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for error in errors:
        place = tuple(str(part) for part in error["loc"][1:] if not TRIED.fullmatch(str(part)))
        found.setdefault(place, error)
    inner = [place for place in found if not any(other[: len(place)] == place != other for other in found)]
    return "; ".join(_told(".".join(place) or "the body", found[place]) for place in inner)


def _told(place: str, error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "json_invalid":
        return f"no JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
    if kind == "missing":
        return f"{place} is missing"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(place, KEYS, n=1)
        return f"the unknown key {place!r}" + (f", which may be meant as {near[0]!r}" if near else "")
    if kind.endswith("_type"):
        return f"{place} is {described(error['input'])}"
    return f"{place}: {error['msg'].replace('Input should be ', '')}"

"""`described`: what a value of a row is, in the words of its faults."""

from __future__ import annotations

from typing import Any


def described(value: Any) -> str:
    """What kind of value was found, with the value where that is short."""
    if value is None:
        return "null"
    kinds = {bool: "the truth value", int: "the number", float: "the number", str: "the text", dict: "an object",
             list: "a list"}  # fmt: skip
    kind = kinds.get(type(value), f"a {type(value).__name__}")
    return kind if isinstance(value, dict | list) else f"{kind} {value!r:.60}"

"""Stretches of a text: as a row writes them, and whether they lie where it says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from hone.data.described import described


def span_of(raw: Any) -> tuple[Any, str]:
    """The span as ``{"start", "end"}``, and what is wrong with it by itself."""
    if not isinstance(raw, Mapping):
        return None, described(raw)
    ends = {}
    for name in ("start", "end"):
        ends[name], wrong = whole_number(raw, name)
        if wrong:
            return None, wrong
    return ends, ""


def whole_number(raw: Mapping[str, Any], name: str) -> tuple[Any, str]:
    """The whole number called ``name``, and what is wrong with it."""
    value = raw.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None, f"no whole number {name}" if value is None else f"{described(value)} as {name}"
    return value, ""


def misplaced(span: Mapping[str, int], text: str, *, stated: Any = None) -> str:
    """What is wrong with a span of ``text``; where the row states the span's text, that must be what stands there."""
    start, end = span["start"], span["end"]
    if not 0 <= start < end <= len(text):
        return f"characters {start} to {end} of a text of {len(text)}"
    said = stated.get("text") if isinstance(stated, Mapping) else None
    if isinstance(said, str) and said != text[start:end]:
        return f"the text {said!r:.60}, and {text[start:end]!r:.60} stands at characters {start} to {end}"
    return ""


def astray(answer: Mapping[str, Any], context: str) -> str:
    """What stands in the context in place of an answer; empty where it is the answer."""
    text, start = answer["text"], answer["start"]
    if not 0 <= start < len(context):
        return f"the answer {text!r:.60} at character {start} of a context of {len(context)}"
    there = context[start : start + len(text)]
    if there == text:
        return ""
    at = context.find(text)
    where = f"it stands at character {at}" if at >= 0 else "it stands nowhere in the context"
    return f"the answer {text!r:.60}, and {there!r:.60} stands at character {start}; {where}"


def overlapping(spans: Mapping[str, Mapping[str, int]]) -> str:
    """Which of the spans, by name, overlap; empty where none do."""
    for (one, a), (other, b) in itertools.combinations(spans.items(), 2):
        if a["start"] < b["end"] and b["start"] < a["end"]:
            return f"{one} at characters {a['start']} to {a['end']} and {other} at {b['start']} to {b['end']}"
    return ""

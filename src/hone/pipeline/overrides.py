"""``key=value`` on the command line: settings that replace those of the recipe's file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hone.core.errors import RecipeError
from hone.pipeline.yaml_file import parse_value

NAMED = ("method", "loss", "objective")  # settings of a stage whose bare name is short for {name: ...}


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set ``key=value`` with dotted keys in raw recipe values, in place.

    Raises:
        RecipeError: One is not of that form, or its key leads nowhere.
    """
    for text in overrides:
        _override(values, text)


def _override(values: dict[str, Any], text: str) -> None:
    """Set ``a.0.b=value`` in nested values."""
    key, sign, raw = text.partition("=")
    if not sign or not key:
        raise RecipeError(f"found the argument {text!r}", expected="key=value", code="recipe.override")
    place: Any = values
    parts = key.split(".")
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                raise RecipeError(
                    f"found {key!r}, but {'.'.join(parts[:i])} has the places 0 to {len(place) - 1}",
                    code="recipe.override",
                )
            if last:
                place[int(part)] = parse_value(raw)
            else:
                place[int(part)] = _long_form(place[int(part)], parts[: i + 1])
                place = place[int(part)]
        elif isinstance(place, dict):
            if last:
                place[part] = parse_value(raw)
            else:
                place[part] = _long_form(place.get(part, {}), parts[: i + 1])
                place = place[part]
        else:
            raise RecipeError(
                f"found {key!r}, but {'.'.join(parts[:i])} is the single value {place!r}", code="recipe.override"
            )


def _long_form(value: Any, place: Sequence[str]) -> Any:
    """``value``; a bare name as ``{name: ...}``, where the recipe takes one for the other."""
    short = {("task", 1): "name", ("data", 2): "path", ("stages", 2): "kind"}.get((place[0], len(place)))
    if place[0] == "stages" and len(place) > 2 and place[-1] in NAMED:
        short = "name"
    return {short: value} if short and isinstance(value, str) else value

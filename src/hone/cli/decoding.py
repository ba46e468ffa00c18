"""``--decoding KEY=VALUE``: how texts are written, where that is not as the bundle says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hone.core.errors import RecipeError


def parse_decoding(arguments: Sequence[str]) -> dict[str, Any]:
    """Settings by name.

    Raises:
        RecipeError: An argument is not of that form, or names a setting that another one has named.
    """
    from hone.pipeline.yaml_file import parse_value

    settings: dict[str, Any] = {}
    for text in arguments:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise RecipeError(f"found --decoding {text!r}", expected="KEY=VALUE", code="recipe.override")
        if name in settings:
            raise RecipeError(f"found two values for decoding.{name}", expected="one", code="recipe.override")
        settings[name] = parse_value(value)
    return settings

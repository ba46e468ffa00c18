"""``--decoding KEY=VALUE``: how texts are written, where that is not as the bundle says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hone.cli.columns import by_key


def parse_decoding(arguments: Sequence[str]) -> dict[str, Any]:
    """Settings by name.

    Raises:
        RecipeError: An argument is not of that form, or names a setting that another one has named.
    """
    from hone.pipeline.yaml_file import parse_value

    told = by_key(arguments, option="--decoding", form="KEY=VALUE", code="recipe.override")
    return {name: parse_value(value) for name, value in told.items()}

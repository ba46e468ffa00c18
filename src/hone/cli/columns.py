"""``--column FIELD=NAME``: what a file's columns are called, where they are not called like the fields."""

from __future__ import annotations

from collections.abc import Sequence

from hone.core.errors import RecipeError


def parse_columns(arguments: Sequence[str]) -> dict[str, str]:
    """Field name -> column name.

    Raises:
        RecipeError: An argument is not of that form, or names a field that another one has named.
    """
    columns: dict[str, str] = {}
    for text in arguments:
        field, _, name = text.partition("=")
        if not field or not name:
            raise RecipeError(f"found --column {text!r}", expected="FIELD=NAME", code="recipe.column")
        if field in columns:
            raise RecipeError(f"found two columns for the field {field!r}", expected="one", code="recipe.column")
        columns[field] = name
    return columns

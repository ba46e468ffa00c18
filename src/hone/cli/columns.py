"""Arguments of the form KEY=VALUE, each key once: ``--column FIELD=NAME``, what a file's columns are called where they
are not called like the fields, and what else is so told."""

from __future__ import annotations

from collections.abc import Sequence

from hone.core.errors import RecipeError


def parse_columns(arguments: Sequence[str]) -> dict[str, str]:
    """Field name -> column name.

    Raises:
        RecipeError: An argument is not of that form, or names a field that another one has named.
    """
    columns = by_key(arguments, option="--column", form="FIELD=NAME", code="recipe.column")
    for field, name in columns.items():
        if not name:
            raise RecipeError(f"found --column {f'{field}='!r}", expected="FIELD=NAME", code="recipe.column")
    return columns


def by_key(arguments: Sequence[str], *, option: str, form: str, code: str) -> dict[str, str]:
    """Key -> what stands after its sign.

    Raises:
        RecipeError: An argument has no key or no sign, or a key that another one has.
    """
    found: dict[str, str] = {}
    for text in arguments:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise RecipeError(f"found {option} {text!r}", expected=form, code=code)
        if key in found:
            raise RecipeError(f"found two values for {option} {key!r}", expected="one", code=code)
        found[key] = value
    return found

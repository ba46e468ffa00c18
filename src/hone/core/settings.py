"""`Settings`: frozen pydantic models that refuse unknown keys; their faults as `Fault`s, all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from hone.core.errors import Fault, did_you_mean


class Settings(BaseModel):
    """Base of every settings model: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


S = TypeVar("S", bound=Settings)


class FaultyValue(ValueError):
    """What a validator raises that found several faults within one value; their fields are places in that value."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def check_settings(kind: type[S], values: Mapping[str, Any], *, at: str = "") -> tuple[S | None, list[Fault]]:
    """Validate ``values`` against ``kind``; returns the model, or None with every fault.

    Args:
        kind: The settings model.
        values: Raw values, as read from YAML.
        at: Dotted place of these values in the recipe, put before each fault's field.
    """
    try:
        return kind.model_validate(values), []
    except ValidationError as error:
        return None, [fault for details in error.errors(include_url=False) for fault in _faults(kind, details, at)]


def _faults(kind: type[Settings], details: ErrorDetails, at: str) -> list[Fault]:
    """One, or those within a value that a validator looked into."""
    within = details.get("ctx", {}).get("error")
    if not isinstance(within, FaultyValue):
        return [_fault(kind, details, at)]
    place = [at, *map(str, details["loc"])]
    return [replace(one, field=".".join(filter(None, [*place, one.field]))) for one in within.faults]


def _fault(kind: type[Settings], details: ErrorDetails, at: str) -> Fault:
    path = [str(part) for part in details["loc"]]
    field = ".".join(([at] if at else []) + path)
    if details["type"] == "extra_forbidden":
        return Fault(
            code="recipe.unknown-key",
            found=f"the unknown key {path[-1]!r}",
            expected="a key of this section",
            field=field,
            fix=did_you_mean(path[-1], _section(kind, path[:-1]).model_fields),
        )
    found = "nothing" if details["type"] == "missing" else repr(details["input"])
    expected = details["msg"].replace("Input should be ", "").replace("Value error, ", "")
    if details["type"] == "too_short":
        expected = f"at least {details['ctx']['min_length']} of them"
    if details["type"] == "missing":
        expected = "a value, for this key is required"
    fix = ""
    if details["type"] == "literal_error" and isinstance(details["input"], str):
        known = str(details.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
        fix = did_you_mean(details["input"], known)
    return Fault(
        code=f"recipe.{details['type'].replace('_', '-')}", found=found, expected=expected, field=field, fix=fix
    )


def _section(kind: type[Settings], path: Sequence[str]) -> type[Settings]:
    """The settings model at ``path`` within ``kind``; the last one on the way where other things lie on it."""
    for name in path:
        field = kind.model_fields.get(name)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, Settings):
            break
        kind = field.annotation
    return kind

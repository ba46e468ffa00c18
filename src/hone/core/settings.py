"""`Settings`: frozen pydantic models that refuse unknown keys; their faults as `Fault`s, all together."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import NoneType
from typing import Any, TypeGuard, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from hone.core.errors import Fault, did_you_mean


class Settings(BaseModel):
    """Base of every settings model: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


S = TypeVar("S", bound=Settings)


def unread(settings: Settings, readers: Mapping[str, Collection[str]]) -> list[str]:
    """What would have to be asked for, so that settings that are not as they are by default are read at all: one phrase
    for each that is missing.

    Args:
        readers: What is not asked for -> names of the settings that it alone reads.
    """
    plain = type(settings).model_fields
    changed = {name for name in plain if getattr(settings, name) != plain[name].default}
    each = ((reader, sorted(changed.intersection(names))) for reader, names in readers.items())
    return [f"{reader}, which alone reads {', '.join(names)}" for reader, names in each if names]


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
        return _unknown_key(kind, path, field)
    expected = details["msg"].replace("Input should be ", "").replace("Value error, ", "")
    found = "nothing" if details["type"] == "missing" else _given(details["input"], expected)
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


def _given(value: Any, expected: str) -> str:
    """What was found: of a whole section those of its settings that ``expected`` speaks of, where it speaks of any."""
    if not isinstance(value, dict):
        return repr(value)
    words = {*re.findall(r"\w+", expected)}
    told = {key: value[key] for key in value if key in words}
    shown = (f"{key}: {json.dumps(one, ensure_ascii=False, default=repr)}" for key, one in told.items())
    return f"{{{', '.join(shown)}}}" if told else repr(value)


def _unknown_key(kind: type[Settings], path: Sequence[str], field: str) -> Fault:
    """A key that its section does not have: where it stands further out, or the nearest one that the section has."""
    *within, key = path
    sections = _sections(kind, within)
    innermost = sections[max(sections)]
    outside = [within[depth] for depth, section in sections.items() if section is not innermost and _has(section, key)]
    fix = f"Put it beside {outside[-1]!r}, not within." if outside else did_you_mean(key, innermost.model_fields)
    return Fault(
        code="recipe.unknown-key",
        found=f"the unknown key {key!r}",
        expected="a key of this section",
        field=field,
        fix=fix,
    )


def _has(section: type[Settings], key: str) -> bool:
    return key in section.model_fields


def _sections(kind: type[Settings], path: Sequence[str]) -> dict[int, type[Settings]]:
    """The settings models on ``path`` within ``kind``, by how many of its keys lead to them; through fields that may be
    missing, the values of mappings and what lists have."""
    found = {0: kind}
    annotation: Any = kind
    for depth, name in enumerate(path, start=1):
        annotation = _inside(annotation, name)
        if _is_settings(annotation):
            found[depth] = annotation
    return found


def _inside(annotation: Any, name: str) -> Any:
    """The type of what ``name`` leads to in a value of type ``annotation``; None where that is not said."""
    if _is_settings(annotation):
        field = annotation.model_fields.get(name)
        inner = None if field is None else field.annotation
    else:
        at = {dict: 1, Mapping: 1, list: 0, Sequence: 0}.get(get_origin(annotation))
        inner = None if at is None else get_args(annotation)[at]
    kinds = [one for one in get_args(inner) if one is not NoneType]
    return kinds[0] if NoneType in get_args(inner) and len(kinds) == 1 else inner


def _is_settings(annotation: Any) -> TypeGuard[type[Settings]]:
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Settings)

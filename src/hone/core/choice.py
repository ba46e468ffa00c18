"""An entry of a plugin table as a recipe names it: its name alone, or ``{name: ..., ...}`` with its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from hone.core.errors import Fault, did_you_mean
from hone.core.settings import FaultyValue, Settings, check_settings
from hone.core.tables import Table

Made = TypeVar("Made")


class Entry(Protocol):
    """An entry that has settings of its own."""

    @property
    def settings(self) -> type[Settings]:
        """Their model."""
        ...


def decided(value: Any, table: Table) -> dict[str, Any]:
    """``value`` with every setting filled in: ``{"name": ..., ...}``, as the decided recipe holds it.

    Raises:
        FaultyValue: It names no entry of ``table``, or has settings that the entry does not take.
    """
    named = {"name": value} if isinstance(value, str) else value
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        expected = f"the name of a {table.noun}, or {{name: ..., ...}} with its settings"
        raise FaultyValue([Fault("recipe.value-error", repr(value), expected)])
    name = named["name"]
    if name not in table:
        fault = Fault(f"recipe.unknown-{table.noun.replace(' ', '-')}", f"the unknown {table.noun} {name!r}",
                      field="" if isinstance(value, str) else "name", fix=did_you_mean(name, table))  # fmt: skip
        raise FaultyValue([fault])
    settings, faults = check_settings(table[name].settings, {k: v for k, v in named.items() if k != "name"})
    if settings is None:
        raise FaultyValue(faults)
    return {"name": name, **settings.model_dump(mode="json")}


def all_decided(values: Sequence[Any], table: Table) -> list[dict[str, Any]]:
    """`decided` of each of several.

    Raises:
        FaultyValue: What is wrong with any, all together; the first part of a field is the place among them.
    """
    return each(values, lambda value: decided(value, table))


def each(values: Sequence[Any], make: Callable[[Any], Made]) -> list[Made]:
    """``make(value)`` of every value.

    Raises:
        FaultyValue: It was raised of any; the faults of all, their places before them.
    """
    out: list[Made] = []
    faults: list[Fault] = []
    for at, value in enumerate(values):
        try:
            out.append(make(value))
        except FaultyValue as error:
            faults += [replace(fault, field=f"{at}.{fault.field}".rstrip(".")) for fault in error.faults]
    if faults:
        raise FaultyValue(faults)
    return out


def opened(value: Mapping[str, Any], table: Table) -> tuple[Any, Settings]:
    """The entry that a decided ``value`` names, and its settings."""
    entry: Entry = table[value["name"]]
    settings, _ = check_settings(entry.settings, {k: v for k, v in value.items() if k != "name"})
    assert settings is not None  # `decided` has checked them
    return entry, settings

"""An entry of a plugin table as a recipe names it: its name alone, or ``{name: ..., ...}`` with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hone.core.errors import did_you_mean
from hone.core.settings import Settings, check_settings
from hone.core.tables import Table


class Entry(Protocol):
    """An entry that has settings of its own."""

    @property
    def settings(self) -> type[Settings]:
        """Their model."""
        ...


def decided(value: Any, table: Table) -> dict[str, Any]:
    """``value`` with every setting filled in: ``{"name": ..., ...}``, as the decided recipe holds it.

    Raises:
        ValueError: It names no entry of ``table``, or has settings that the entry does not take; pydantic makes a
            fault of it.
    """
    named = {"name": value} if isinstance(value, str) else value
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        raise ValueError(f"the name of a {table.noun}, or {{name: ..., ...}} with its settings")
    name = named["name"]
    if name not in table:
        raise ValueError(f"a {table.noun}. {did_you_mean(name, table)}")
    settings, faults = check_settings(table[name].settings, {k: v for k, v in named.items() if k != "name"})
    if settings is None:
        raise ValueError("; ".join(str(fault) for fault in faults))
    return {"name": name, **settings.model_dump(mode="json")}


def opened(value: Mapping[str, Any], table: Table) -> tuple[Any, Settings]:
    """The entry that a decided ``value`` names, and its settings."""
    entry: Entry = table[value["name"]]
    settings, _ = check_settings(entry.settings, {k: v for k, v in value.items() if k != "name"})
    assert settings is not None  # `decided` has checked them
    return entry, settings

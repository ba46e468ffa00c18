"""Batches, and scores, for several heads as one: what is for each has its name before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

APART = "/"  # between a head's name and an entry of its own

Entry = TypeVar("Entry")


def addressed(entries: Mapping[str, Entry], name: str) -> dict[str, Entry]:
    """The entries of a batch, or of scores, for the head ``name``, as part of those for several heads; the first head,
    whose name is empty, has them as they are."""
    return {f"{name}{APART}{key}": value for key, value in entries.items()} if name else dict(entries)


def by_head(entries: Mapping[str, Entry]) -> dict[str, dict[str, Entry]]:
    """The other way round: each head's name and its entries; one without a name of a batch for a single head."""
    found: dict[str, dict[str, Entry]] = {}
    for key, value in entries.items():
        name, _, own = key.rpartition(APART)
        found.setdefault(name, {})[own] = value
    return found

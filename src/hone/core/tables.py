"""`Table`: a plugin table, name -> ``module:attribute``, resolved on first use so that imports stay cheap."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from hone.core.errors import RecipeError, did_you_mean


class Table(Mapping[str, Any]):
    """A lazy mapping of names to classes or functions.

    Args:
        noun: What an entry is, for messages (``task``).
        entries: name -> ``module:attribute``.
        group: Entry-point group other packages add entries through; empty for none. A foreign entry never
            replaces one of hone's own.
    """

    def __init__(self, noun: str, entries: Mapping[str, str], *, group: str = "") -> None:
        self.noun = noun
        self.group = group
        self._own = dict(entries)

    def targets(self) -> dict[str, str]:
        """name -> ``module:attribute`` of every entry, foreign ones included."""
        foreign = {point.name: point.value for point in entry_points(group=self.group)} if self.group else {}
        return {**foreign, **self._own}

    def __getitem__(self, name: str) -> Any:
        target = self._own.get(name)  # first of all: entry points lie in the files of every package installed
        if target is None:
            targets = self.targets()
            if name not in targets:
                raise RecipeError(
                    f"found the unknown {self.noun} {name!r}",
                    fix=did_you_mean(name, targets),
                    code=f"recipe.unknown-{self.noun}",
                )
            target = targets[name]
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self.targets()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.targets()))

    def __len__(self) -> int:
        return len(self.targets())

"""Techniques: switches of the one loop, each a small file of its own; their table and settings, no torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hone.core.settings import Settings
from hone.core.tables import Table

if TYPE_CHECKING:
    from hone.train.technique import Technique

TECHNIQUES = Table("technique", {"ema": "hone.train.techniques:EMA"}, group="hone.techniques")


@dataclass(frozen=True)
class TechniqueEntry:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        work: ``module:class`` of the `hone.train.technique.Technique`, made from ``(settings, model)``.
    """

    name: str
    settings: type[Settings]
    work: str

    def make(self, settings: Settings, model: Any) -> Technique:
        """The technique on a model."""
        module, _, name = self.work.partition(":")
        made: Technique = getattr(importlib.import_module(module), name)(settings, model)
        return made


class EmaSettings(Settings):
    """Settings of the technique ``ema``.

    Attributes:
        decay: Share of the average that a step leaves; 0.99 averages about the last 100 steps.
    """

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99


EMA = TechniqueEntry("ema", EmaSettings, "hone.train.ema:Ema")

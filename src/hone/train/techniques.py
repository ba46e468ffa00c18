"""Techniques: switches of the one loop, each a small file of its own; their table and settings, no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from hone.core.choice import opened
from hone.core.settings import Settings
from hone.core.tables import Table

if TYPE_CHECKING:
    from hone.train.technique import Course, Technique

TECHNIQUES = Table(
    "technique",
    {
        "ema": "hone.train.techniques:EMA",
        "fgm": "hone.train.techniques:FGM",
        "layer-decay": "hone.train.techniques:LAYER_DECAY",
        "r-drop": "hone.train.techniques:R_DROP",
        "swa": "hone.train.techniques:SWA",
    },
    group="hone.techniques",
)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Does = Literal["leaves", "moves-embeddings"]
DOES: dict[Does, str] = {
    "leaves": "decide which weights remain",
    "moves-embeddings": "move the embeddings of a batch",
}


class Load(NamedTuple):
    """What techniques add to the cost of a training.

    Attributes:
        passes: Forward and backward passes of a batch, in place of one.
        held: Of how many passes activations are held at a time.
        copies: Float32 values kept beside each weight that learns.
    """

    passes: int = 1
    held: int = 1
    copies: int = 0


@dataclass(frozen=True)
class TechniqueEntry:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model; it may have a ``load``.
        work: ``module:class`` of the `hone.train.technique.Technique`, made from ``(settings, course)``.
        does: What no two techniques of a recipe may do both; None: nothing of that kind.
        inside: Whether it acts inside the model's forward pass, which a compiler of it would not see.
        needs: What it cannot do without: the ``embeddings`` must learn, ``dropout`` must not be zero, the base must
            have ``layers`` known by name, the task must score each answer by itself (``answers``).
    """

    name: str
    settings: type[Settings]
    work: str
    does: Does | None = None
    inside: bool = False
    needs: frozenset[Literal["embeddings", "dropout", "layers", "answers"]] = frozenset()

    def make(self, settings: Settings, course: Course) -> Technique:
        """The technique in a training."""
        module, _, name = self.work.partition(":")
        made: Technique = getattr(importlib.import_module(module), name)(settings, course)
        return made


class EmaSettings(Settings):
    """Settings of the technique ``ema``.

    Attributes:
        decay: Share of the average that a step leaves; 0.99 averages about the last 100 steps.
    """

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99

    @property
    def load(self) -> Load:
        return Load(copies=1)


class FgmSettings(Settings):
    """Settings of the technique ``fgm``.

    Attributes:
        epsilon: How far the embedded words of an example are moved, by the norm over all of them, in standard
            deviations of the table.
        weight: Of the loss there, beside that of the batch as it is.
    """

    epsilon: Positive = 5.0
    weight: Positive = 1.0

    @property
    def load(self) -> Load:
        return Load(passes=2)


class LayerDecaySettings(Settings):
    """Settings of the technique ``layer-decay``.

    Attributes:
        decay: Rate of a layer as a share of that of the layer above it.
    """

    decay: Annotated[float, Field(gt=0, le=1)] = 0.9


class RDropSettings(Settings):
    """Settings of the technique ``r-drop``.

    Attributes:
        alpha: Weight of the divergence between both passes.
    """

    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    @property
    def load(self) -> Load:
        return Load(passes=2, held=2)


class SwaSettings(Settings):
    """Settings of the technique ``swa``.

    Attributes:
        start: Share of all steps after which snapshots are taken.
        every_steps: A snapshot every so many steps; None: at the end of each epoch.
    """

    start: Annotated[float, Field(ge=0, lt=1)] = 0.5
    every_steps: Count | None = None

    @property
    def load(self) -> Load:
        return Load(copies=1)


EMA = TechniqueEntry("ema", EmaSettings, "hone.train.ema:Ema", does="leaves")
FGM = TechniqueEntry(
    "fgm", FgmSettings, "hone.train.fgm:Fgm",
    does="moves-embeddings", inside=True, needs=frozenset({"embeddings"}),
)  # fmt: skip
LAYER_DECAY = TechniqueEntry(
    "layer-decay", LayerDecaySettings, "hone.train.layer_decay:LayerDecay", needs=frozenset({"layers"})
)
R_DROP = TechniqueEntry("r-drop", RDropSettings, "hone.train.r_drop:RDrop", needs=frozenset({"dropout", "answers"}))
SWA = TechniqueEntry("swa", SwaSettings, "hone.train.swa:Swa", does="leaves")


def load_of(chosen: Sequence[Mapping[str, Any]]) -> Load:
    """What decided entries of the table cost together."""
    loads = [getattr(settings, "load", Load()) for _, settings in (opened(value, TECHNIQUES) for value in chosen)]
    return Load(
        passes=1 + sum(load.passes - 1 for load in loads),
        held=max([1, *(load.held for load in loads)]),
        copies=sum(load.copies for load in loads),
    )

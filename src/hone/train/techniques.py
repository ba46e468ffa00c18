"""Techniques: switches of the one loop, each a small file of its own; their table and settings, no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
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
        "contrastive": "hone.train.techniques:CONTRASTIVE",
        "ema": "hone.train.techniques:EMA",
        "fgm": "hone.train.techniques:FGM",
        "freelb": "hone.train.techniques:FREELB",
        "gradient-checkpointing": "hone.train.techniques:CHECKPOINTING",
        "gradual-unfreezing": "hone.train.techniques:UNFREEZING",
        "layer-decay": "hone.train.techniques:LAYER_DECAY",
        "mixout": "hone.train.techniques:MIXOUT",
        "r-drop": "hone.train.techniques:R_DROP",
        "swa": "hone.train.techniques:SWA",
    },
    group="hone.techniques",
)

OF_METHODS = {"adalora": "hone.train.rank_allocation:RankAllocation"}  # what a tuning method does in the loop

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Does = Literal["leaves", "moves", "recomputes", "repeats"]
DOES: dict[Does, str] = {
    "leaves": "decide which weights remain",
    "moves": "move the embeddings of a batch",
    "recomputes": "make the states of layers again",
    "repeats": "say what a repeated pass is for",
}
Needs = Literal["embeddings", "weights", "dropout", "layers", "answers", "label"]


class Load(NamedTuple):
    """What techniques add to the cost of a training.

    Attributes:
        passes: Forward and backward passes of a batch, in place of one.
        held: Of how many passes activations are held at a time.
        copies: Float32 values kept beside each weight that learns.
        recomputes: Whether a layer's activations are made again on the way back, in place of being held.
    """

    passes: float = 1
    held: int = 1
    copies: int = 0
    recomputes: bool = False


@dataclass(frozen=True)
class TechniqueEntry:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model; it may have a ``load``.
        work: ``module:class`` of the `hone.train.technique.Technique`, made from ``(settings, course)``.
        does: What no two techniques of a recipe may do both.
        inside: Whether it acts inside the model's forward pass, which a compiler of it would not see.
        divides: Whether it does the same where each process has but a part of every weight.
        needs: What it cannot do without: the ``embeddings`` must be read, ``weights`` of the base must learn,
            ``dropout`` must not be zero, the base must have ``layers`` known by name, the task must score each answer
            by itself (``answers``), or have one ``label`` for a whole text.
    """

    name: str
    settings: type[Settings]
    work: str
    does: frozenset[Does] = frozenset()
    inside: bool = False
    needs: frozenset[Needs] = frozenset()
    divides: bool = False

    def make(self, settings: Settings, course: Course) -> Technique:
        """The technique in a training."""
        made: Technique = technique_named(self.work)(settings, course)
        return made


def technique_named(work: str) -> Callable[[Any, Course], Technique]:
    """The class that ``module:class`` names."""
    module, _, name = work.partition(":")
    found: Callable[[Any, Course], Technique] = getattr(importlib.import_module(module), name)
    return found


class CheckpointingSettings(Settings):
    """The technique ``gradient-checkpointing`` has no settings."""

    @property
    def load(self) -> Load:
        return Load(recomputes=True)


class ContrastiveSettings(Settings):
    """Settings of the technique ``contrastive``.

    Attributes:
        weight: Of the contrast, 0 to 1; the rest is that of the loss.
        temperature: What cosines are divided by; below 1 near neighbors count for more.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = 0.1
    temperature: Positive = 0.3


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


class FreelbSettings(Settings):
    """Settings of the technique ``freelb``; lengths are norms over all words of an example, in standard deviations of
    the table.

    Attributes:
        steps: Passes of a batch, each at embeddings that are moved further.
        rate: How far each moves them.
        start: Reach of the move that the first pass draws.
        radius: How far they are moved at most; None: as far as the passes move them.
    """

    steps: Annotated[int, Field(ge=1)] = 3
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    start: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    radius: Positive | None = None

    @property
    def load(self) -> Load:
        return Load(passes=self.steps)


class LayerDecaySettings(Settings):
    """Settings of the technique ``layer-decay``.

    Attributes:
        decay: Rate of a layer as a share of that of the layer above it.
    """

    decay: Annotated[float, Field(gt=0, le=1)] = 0.9


class MixoutSettings(Settings):
    """Settings of the technique ``mixout``.

    Attributes:
        p: Share of the weights that a step has as pretraining left them.
    """

    p: Annotated[float, Field(ge=0, lt=1)] = 0.7

    @property
    def load(self) -> Load:
        return Load(copies=3)


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


class UnfreezingSettings(Settings):
    """Settings of the technique ``gradual-unfreezing``.

    Attributes:
        by: ``share``: layers follow one another evenly until that share of all steps is done; ``epoch``: one an epoch.
        until: That share.
    """

    by: Literal["share", "epoch"] = "share"
    until: Annotated[float, Field(ge=0, le=1)] = 0.5


CHECKPOINTING = TechniqueEntry(
    "gradient-checkpointing",
    CheckpointingSettings,
    "hone.train.checkpointing:Checkpointing",
    does=frozenset({"recomputes"}),
    divides=True,
)
CONTRASTIVE = TechniqueEntry(
    "contrastive", ContrastiveSettings, "hone.train.contrastive:Contrastive", inside=True, needs=frozenset({"label"})
)
EMA = TechniqueEntry("ema", EmaSettings, "hone.train.ema:Ema", does=frozenset({"leaves"}), divides=True)
FGM = TechniqueEntry(
    "fgm", FgmSettings, "hone.train.fgm:Fgm", does=frozenset({"moves"}), inside=True, needs=frozenset({"embeddings"})
)
FREELB = TechniqueEntry(
    "freelb",
    FreelbSettings,
    "hone.train.freelb:Freelb",
    does=frozenset({"moves", "repeats"}),
    inside=True,
    needs=frozenset({"embeddings"}),
)
LAYER_DECAY = TechniqueEntry(
    "layer-decay",
    LayerDecaySettings,
    "hone.train.layer_decay:LayerDecay",
    needs=frozenset({"layers"}),
    divides=True,
)
MIXOUT = TechniqueEntry("mixout", MixoutSettings, "hone.train.mixout:Mixout", needs=frozenset({"weights"}))
R_DROP = TechniqueEntry(
    "r-drop",
    RDropSettings,
    "hone.train.r_drop:RDrop",
    does=frozenset({"repeats"}),
    needs=frozenset({"dropout", "answers"}),
)
SWA = TechniqueEntry("swa", SwaSettings, "hone.train.swa:Swa", does=frozenset({"leaves"}), divides=True)
UNFREEZING = TechniqueEntry(
    "gradual-unfreezing", UnfreezingSettings, "hone.train.unfreezing:Unfreezing", needs=frozenset({"layers"})
)


def load_of(chosen: Sequence[Mapping[str, Any]]) -> Load:
    """What decided entries of the table cost together."""
    loads = [getattr(settings, "load", Load()) for _, settings in (opened(value, TECHNIQUES) for value in chosen)]
    recomputes = any(load.recomputes for load in loads)
    forward = 1 / 3 if recomputes else 0  # of a pass, what is done again
    return Load(
        passes=(1 + sum(load.passes - 1 for load in loads)) * (1 + forward),
        recomputes=recomputes,
        held=max([1, *(load.held for load in loads)]),
        copies=sum(load.copies for load in loads),
    )

"""`Stage`: one step of a recipe, ``(settings, inputs, run) -> Outcome``; what it may read and what it may change."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import hone
from hone.bundle.bundle import Bundle, same_place
from hone.bundle.manifest import DataRecord, Lineage
from hone.core.errors import Fault, RecipeError, did_you_mean
from hone.core.extras import require
from hone.core.processes import ALONE, Place
from hone.core.progress import Progress, Silent
from hone.core.settings import Settings
from hone.data.corpus.corpus import Corpus
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.report.catalog import Language
from hone.report.report import Report

Device = Literal["auto", "cpu", "cuda", "mps"]

CORPUS, HELD_OUT = "corpus", "held_out"  # names of data that is text alone, to pretrain on and to measure that by


@dataclass(frozen=True)
class TaskChoice:
    """The task that a recipe asks for: its name in the table and its settings; see `NO_TASK`."""

    name: str
    settings: Settings


NO_TASK = TaskChoice("", Settings())  # of a recipe whose stages do none: it makes a base


@dataclass(frozen=True)
class Inputs:
    """What a stage is given.

    Attributes:
        task, base: What the recipe asks for.
        data: Named data; only the splits that the stage declares to read.
        bundle: What the stages before made, or None.
        reports: Kind -> report of the stages so far.
        plan: Settings of the stages to come, by kind (inspect estimates what the training will cost).
        recipe_digest: Digest of the decided recipe without paths: what lineage keeps.
        corpus: The documents of ``data.corpus``, or None.
        held_out: Those that are held out, or None.
        others: The bundles that the stage's own settings name, by the setting; see `Stage.bundles`.
        made: The bundles that the stages before made, in their order.
        pretrained: Whether a stage before trains the base, which then is none of random weights.
        target: Where the new bundle goes, if it makes one; None where that is no matter.
        device: What the recipe asks for; where a stage runs says its `Run`.
    """

    task: TaskChoice
    base: Base | None
    data: Mapping[str, Dataset]
    bundle: Bundle | None = None
    reports: Mapping[str, Report] = field(default_factory=dict)
    plan: Mapping[str, Settings] = field(default_factory=dict)
    recipe_digest: str = ""
    corpus: Corpus | None = None
    held_out: Corpus | None = None
    others: Mapping[str, tuple[Bundle, ...]] = field(default_factory=dict)
    made: tuple[Bundle, ...] = ()
    pretrained: bool = False
    target: Path | None = None
    device: Device = "auto"

    def replaces(self, folder: Path) -> bool:
        """Whether the new bundle would lie in the place of what lies in ``folder``."""
        return self.target is not None and same_place(self.target, folder)

    def split(self, name: str, *, stage: str) -> Dataset:
        """The data called ``name``.

        Raises:
            RecipeError: There is none that ``stage`` may read.
        """
        if name not in self.data:
            raise RecipeError(
                f"{stage} reads the split {name!r}, and is given {', '.join(self.data) or 'none'}",
                fix=did_you_mean(name, self.data),
                code="recipe.no-split",
            )
        return self.data[name]

    def lineage(self, stage: str, *, parents: Sequence[str], recipe: Mapping[str, Any], seed: int) -> Lineage:
        """Of a bundle that ``stage`` makes of this: the digests of its ``parents``, and what was asked for."""
        return Lineage(
            parents=tuple(parents),
            stage=stage,
            recipe=dict(recipe),
            recipe_digest=self.recipe_digest,
            data=tuple(DataRecord(role=name, digest=data.digest, rows=len(data)) for name, data in self.data.items()),
            seed=seed,
            hone=hone.__version__,
        )


@dataclass(frozen=True)
class Run:
    """What a stage runs in.

    Attributes:
        folder: Where it may leave files of its own (logs, checkpoints, predictions).
        target: Where a new bundle goes, if it makes one.
        cache: Where rows and tokens are cached.
        language: Of what people read in the report.
        place: Which of the processes that share the stage this is; alone in a stage that one does.
    """

    seed: int
    device: Device
    folder: Path
    target: Path
    cache: Path
    progress: Progress = field(default_factory=Silent)
    language: Language = "en"
    place: Place = ALONE


@dataclass(frozen=True)
class Outcome:
    """What a stage leaves: its report, a new bundle if it made one, files to attach to the bundle it speaks of."""

    report: Report
    bundle: Bundle | None = None
    attachments: Mapping[str, str | bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """An entry of the stage table.

    Attributes:
        kind: Its name in recipes and on the command line.
        settings: Its settings model.
        reads: Splits it reads.
        changes: What it changes; one that changes the model or fits a decision may not read ``test``.
        work: ``module:function`` that does it, imported when it runs.
        check: ``module:function`` that finds what of its settings cannot be had with this task and data; called before
            any stage of the recipe runs. Empty where there is nothing to check.
        needs: Packages of the extra ``train`` that it imports.
        needs_bundle: Whether it can do nothing without a bundle, given or made before it.
        bundles: The settings that name folders of bundles which it is given, each one or a list of them. Paths are no
            part of what a recipe decides: the bundles' digests are.
        writes: Whether it is for tasks that write alone.
        does_task: Whether it is about the recipe's task, which it then must have; else about a base.
        shared: Whether several processes can train in it together; others the first does, and the rest wait.
    """

    kind: str
    settings: type[Settings]
    reads: tuple[str, ...]
    changes: Literal["nothing", "model", "decision"]
    work: str
    check: str = ""
    needs: tuple[str, ...] = ()
    needs_bundle: bool = False
    bundles: tuple[str, ...] = ()
    writes: bool = False
    does_task: bool = True
    shared: bool = False

    def __post_init__(self) -> None:
        if self.changes != "nothing" and "test" in self.reads:
            raise ValueError(f"stage {self.kind!r} changes the {self.changes} and may not read test")

    @property
    def trains(self) -> bool:
        """Whether it makes a model out of a base and the first of the data that it reads, rather than out of a
        bundle."""
        return self.changes == "model" and not self.needs_bundle and not self.bundles

    def run(self, settings: Settings, inputs: Inputs, run: Run) -> Outcome:
        """Do it."""
        work: Callable[[Settings, Inputs, Run], Outcome] = _named(self.work)
        return work(settings, inputs, run)

    def faults(self, settings: Settings, inputs: Inputs) -> list[Fault]:
        """What `check` finds; a fault's field is a key of the settings.

        Raises:
            MissingExtra: A package that it needs is not installed.
        """
        for package in self.needs:
            require(package, extra="train", needed_for=self.kind)
        if not self.check:
            return []
        check: Callable[[Settings, Inputs], list[Fault]] = _named(self.check)
        return check(settings, inputs)


def _named(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)

"""What the stages of a recipe need of its task and of the names of its data; found before data is read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hone.bundle.stage import CORPUS, HELD_OUT
from hone.core.errors import Fault, did_you_mean
from hone.models.architectures import ARCHITECTURES, Architecture, NewBase, Stack, named_stack
from hone.tasks.fields import PAIRS, VALIDATION_PAIRS
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.table import SETTINGS

if TYPE_CHECKING:
    from hone.pipeline.recipe import StageChoice

UNLABELED = "unlabeled"  # the one name of data without targets
DATA_OPTIONS = ("drop", "validation_share", "train_share", "split_seed")
CORPORA = (CORPUS, HELD_OUT)  # keys of `data` that name documents, where others name rows
USUAL = ("train", "validation", "test", PAIRS, VALIDATION_PAIRS)
CARVED = {"validation": "train", VALIDATION_PAIRS: PAIRS}  # splits that are made where they are not named, and of what


def unwritten(stages: Sequence[StageChoice], task: str) -> list[Fault]:
    """Faults where a stage is for tasks that write, and this one reads."""
    if SETTINGS[task].stack != "encoder":
        return []
    wanted = ", ".join(name for name in SETTINGS if SETTINGS[name].stack != "encoder")
    return [
        Fault("recipe.stage-task", f"{choice.stage.kind}, and {task} writes no text", f"one of {wanted}",
              field=f"stages.{i}")
        for i, choice in enumerate(stages)
        if choice.stage.writes
    ]  # fmt: skip


def unlearnable(stages: Sequence[StageChoice], base: NewBase) -> list[Fault]:
    """Faults where a base to be made is of another kind than an objective is for: its text is not read for nothing."""
    architecture: Architecture = ARCHITECTURES[base.architecture]
    faults = []
    for i, choice in enumerate(stages):
        for at, name in _objectives(choice):
            wanted: Stack = OBJECTIVES[name].stack
            if wanted != architecture.stack:
                had = f"{base.architecture}, {named_stack(architecture.stack)}"
                found = f"{had}, and {name}, which takes {named_stack(wanted)}"
                able = [name for name in OBJECTIVES if OBJECTIVES[name].stack == architecture.stack]
                field = f"stages.{i}.{at}.name"
                faults.append(Fault("recipe.objective-base", found, f"one of {', '.join(able)}", field=field))
    return faults


def _objectives(choice: StageChoice) -> Iterator[tuple[str, str]]:
    """Where the objectives of a stage stand, those learned beside a task too, and what they are called."""
    joint = getattr(choice.settings, "joint", None)
    for at, holder in (("objective", choice.settings), ("joint.objective", joint)):
        for i, named in enumerate(getattr(holder, "objective", ())):
            yield f"{at}.{i}", named["name"]


def tasked(stages: Sequence[StageChoice], task: Any) -> list[Fault]:
    """A fault where a stage is about a task, and the recipe has none."""
    doing = [choice.stage.kind for choice in stages if choice.stage.does_task]
    if task is not None or not doing:
        return []
    return [Fault("recipe.missing", "nothing", f"a task, for stage {doing[0]} is about one", field="task")]


def readable(choice: StageChoice, names: Iterable[str], *, probed: Iterable[str]) -> set[str]:
    """Those of ``names`` of data that a stage may read: what it declares and what its settings add; a judge also data
    of any other name, but for what bases are ``probed`` by."""
    reads = {*choice.stage.reads, *getattr(choice.settings, "also_reads", ())}
    if choice.stage.changes == "nothing":
        reads |= {*names} - {"train", "validation", "test", UNLABELED, *CORPORA, *probed}
    return reads & {*names}


def needs(stages: Sequence[StageChoice], data: Mapping[str, Any]) -> list[Fault]:
    """Faults where a stage reads data that the section ``data`` does not name, or that it may not read."""
    faults = []
    none = {name for name in CARVED if name in data and data[name] in ("none", None)}
    known = {str(name) for name in data} - {*DATA_OPTIONS, *CORPORA} - none
    known |= {name for name, whole in CARVED.items() if whole in known and name not in none}
    there = {*known, *(name for name in CORPORA if name in data)}
    probes = [name for choice in stages for name in probed(choice)]
    for i, choice in enumerate(stages):
        wanted = list(choice.stage.reads[:1]) if choice.stage.trains else []
        on = getattr(choice.settings, "on", None)
        wanted += [on] if on else []
        wanted += probed(choice)
        if not wanted and not known and CORPUS not in data and not choice.stage.needs_bundle:
            wanted = ["train"]  # a stage that looks at whatever there is
        for name in wanted:
            if name not in (data if name in CORPORA else known):
                near = f"{did_you_mean(name, known)} " if on and known else ""
                faults.append(
                    Fault(
                        "recipe.no-split",
                        f"no data named {name!r}",
                        f"a source, for stage {choice.stage.kind} reads it",
                        field=f"data.{name}" if name in data else f"stages.{i}",
                        fix=f"{near}Name a source under data: {name}: FILE",
                    )
                )
        may = readable(choice, there, probed=probes)
        if on in there and on not in may:
            found, expected = f"{on}, which {choice.stage.kind} may not read", f"one of {', '.join(sorted(may))}"
            faults.append(Fault("recipe.not-read", found, expected if may else "", field=f"stages.{i}.on"))
    return faults


def probed(choice: StageChoice) -> list[str]:
    """Names of the data that a stage judges its base by while it learns."""
    return [probe.on for probe in getattr(choice.settings, "probes", ())]


def misprobed(stages: Sequence[StageChoice]) -> list[Fault]:
    """Faults where a base is to be judged by data that is there for something else, or twice by the same."""
    faults = []
    for i, choice in enumerate(stages):
        names = probed(choice)
        for at, name in enumerate(names):
            field = f"stages.{i}.probes.{at}"
            if name in (*USUAL, *CORPORA, *DATA_OPTIONS):
                found, fix = f"a probe on {name}", "Name the file under a name of its own."
                faults.append(Fault("recipe.probe-data", found, "data for nothing but probes", field=field, fix=fix))
            elif name in names[:at]:
                faults.append(Fault("recipe.probe-data", f"a second probe on {name}", "one", field=field))
    return faults


def near_option(name: str) -> str:
    """The key of ``data`` that is no source and that ``name`` is nearly, as a question; empty where there is none."""
    return did_you_mean(name, DATA_OPTIONS) if difflib.get_close_matches(name, DATA_OPTIONS, n=1, cutoff=0.8) else ""


def mistyped(stages: Sequence[StageChoice], data: Mapping[str, Any]) -> list[Fault]:
    """Faults where a name of ``data`` is all but that of a usual split, and no stage reads it."""
    read = {getattr(choice.settings, "on", None) for choice in stages}
    read |= {*(name for choice in stages for name in probed(choice)), *DATA_OPTIONS, *CORPORA, *USUAL}
    faults = []
    for name in sorted({str(name) for name, value in data.items() if isinstance(value, str | dict)} - read):
        near = difflib.get_close_matches(name, [*USUAL, *DATA_OPTIONS, *CORPORA], n=1, cutoff=0.8)
        if near:
            found = f"data named {name!r}, which no stage reads"
            faults.append(Fault("recipe.unknown-key", found, field=f"data.{name}", fix=f"Did you mean {near[0]!r}?"))
    return faults

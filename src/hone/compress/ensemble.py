"""The stage ``ensemble``: several bundles become one that has no weights and asks them all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hone.bundle.bundle import Bundle, write_bundle
from hone.bundle.manifest import Manifest, Part, Plain, Requirement
from hone.bundle.members import PLACES, places_of
from hone.bundle.stage import Inputs, Outcome, Run
from hone.compress.compare import answers, measures
from hone.compress.ensemble_settings import EnsembleSettings
from hone.core.errors import Fault, RecipeError
from hone.core.measures import Measure
from hone.evaluate.agreement import agreed, agreement
from hone.models.heads import HEADS
from hone.predict.bases import find_base
from hone.predict.decide import with_decision
from hone.predict.ensemble import UNAVERAGED, EnsembleEngine
from hone.predict.formats import ADAPTERS, MEMBERS
from hone.predict.predictor import Predictor, open_bundle, weights_format
from hone.report.report import Cell, Grid, Report
from hone.tasks.protocol import Deciding, Prediction, Task


def ensemble(settings: EnsembleSettings, inputs: Inputs, run: Run) -> Outcome:
    """Write the ensemble of the bundles that the recipe names to ``run.target``; its decision, where the task has one,
    is fitted anew.

    Raises:
        RecipeError: There is no such split, or the bundles do not read or answer alike.
    """
    data = inputs.split(settings.on, stage="ensemble")
    members = [open_bundle(one, device=run.device) for one in inputs.others["members"]]
    _require_alike(members, settings.members)
    engine = EnsembleEngine(members[0].task, [one.engine for one in members])
    task = with_decision(members[0].task, engine, data, cache=run.cache)
    written = write_bundle(run.target, build=lambda folder: _fill(folder, members, task, inputs, run))
    columns = data.slice(0, len(data))
    each = [answers(one, columns) for one in members]
    together = answers(Predictor(written, task, engine), columns)
    found = measures(task, together, columns)
    report = Report(
        stage="ensemble",
        bundle=written.digest,
        measures=found,
        tables={"members": _beside(members, each, together, found, columns)},
        facts={"members": len(members), "data": settings.on, "rows": len(data)},
    )
    return Outcome(report, written, {PLACES: places_of(inputs.others["members"], seen_from=written.path)})


def _require_alike(members: Sequence[Predictor], names: Sequence[str]) -> None:
    """Raise unless every member reads the rows of the first, and its scores mean the same."""
    first, faults = members[0], []
    if first.task.says in UNAVERAGED:
        found = f"{first.task.name}, {UNAVERAGED[first.task.says]}"
        expected = "a task whose scores stand for chances or are numbers"
        raise RecipeError(found, expected=expected, code="recipe.ensemble")
    for i, one in enumerate(members[1:], start=1):
        apart = [key for key, value in _alike(first).items() if _alike(one)[key] != value]
        if apart:
            found = f"{names[i]}, which differs from {names[0]} in {', '.join(apart)}"
            expected = "members that answer the same question"
            faults.append(Fault("recipe.ensemble", found, expected, field=f"members.{i}"))
        elif wanting := _unread(one.task, first.task):
            found = f"{names[i]}, which reads {wanting} of the rows that the first one, {names[0]}, makes for all"
            expected, fix = "members that read those rows whole", f"Name it first, before {names[0]}."
            faults.append(Fault("recipe.ensemble", found, expected, field=f"members.{i}", fix=fix))
    if faults:
        raise RecipeError.of(faults, what="ensemble")


def _alike(member: Predictor) -> dict[str, Any]:
    """What members must have in common, so that their scores mean the same of the same tokens."""
    task = member.task
    settings = task.settings.model_dump(mode="json", exclude=set(task.settings.incidental))
    return {"task": task.name, "labels": task.labels, "tokenizer": task.tokenizer.digest, **settings}


def _unread(task: Task, first: Task) -> str:
    """What keeps a task from reading the rows of another one: fewer tokens, or columns that these do not have."""
    if task.max_tokens < first.max_tokens:
        return f"{task.max_tokens} tokens and not the {first.max_tokens}"
    lacking = sorted(task.row_schema.keys() - first.row_schema.keys())
    return f"what they lack ({', '.join(lacking)})" if lacking else ""


def _fill(folder: Path, members: Sequence[Predictor], task: Task, inputs: Inputs, run: Run) -> Manifest:
    first = members[0].bundle
    model = find_base(first).folder if weights_format(first) in ADAPTERS else first.path
    shutil.copyfile(model / "config.json", folder / "config.json")  # how much a row may hold
    task.tokenizer.save(folder)
    files = tuple(sorted(path.name for path in folder.iterdir()))
    parts = [
        Part(role="weights", name="members", format=MEMBERS, files=()),
        Part(role="processor", name="tokenizer", format="tokenizers", files=files),
    ]
    requires = tuple(Requirement(role="member", digest=one.bundle.digest) for one in members)
    made = Manifest(
        task=first.manifest.task,
        parts=tuple(parts),
        default=tuple(part.name for part in parts),
        requires=requires,
        plain=Plain(auto_class=HEADS[task.head.kind].auto_class, gives="nothing"),
        lineage=inputs.lineage(
            "ensemble",
            parents=[one.bundle.digest for one in members],
            recipe={"stage": "ensemble", "seed": run.seed},
            seed=run.seed,
        ),
    )
    if not isinstance(task, Deciding) or task.decision is None:
        return made
    decision = Part(role="decision", name="decision", format="json", files=(), settings=dict(task.decision),
                    fitted_on=made.weights_digest())  # fmt: skip
    return made.model_copy(update={"parts": (*made.parts, decision), "default": (*made.default, decision.name)})


def _beside(
    members: Sequence[Predictor],
    each: Sequence[Sequence[Prediction]],
    together: Sequence[Prediction],
    found: Sequence[Measure],
    columns: Mapping[str, Sequence[Any]],
) -> Grid:
    """The main measure of each member and of the ensemble, and how often a member says the same as the ensemble."""
    name = members[0].task.main_measure
    rows: list[list[Cell]] = []
    names = told_apart([one.bundle.path for one in members])
    for one, said, called in zip(members, each, names, strict=True):
        own = next(m for m in measures(one.task, said, columns) if m.name == name)
        same = agreement(agreed(one.task, said, together)).value
        rows.append([f"{called} ({_short(one.bundle)})", own.value, own.low, own.high, same])
    own = next(m for m in found if m.name == name)
    rows.append(["ensemble", own.value, own.low, own.high, 1.0])
    return Grid(columns=["member", name, "low", "high", "same_answers"], rows=rows)


def told_apart(folders: Sequence[Path]) -> list[str]:
    """The ends of their paths by which folders differ, such as ``a/bundle`` and ``b/bundle``; of one folder that stands
    there twice its name."""
    parts = [folder.resolve().parts for folder in folders]
    ends = [["/".join(each[-size:]) for each in parts] for size in range(1, max(map(len, parts)))]
    return next((found for found in ends if len(set(found)) == len(found)), ends[0])


def _short(bundle: Bundle) -> str:
    return bundle.digest[:12]

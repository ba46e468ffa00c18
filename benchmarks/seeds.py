"""A recipe that lies beside a benchmark, run once a seed; what has been measured already is not run again."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from machine import machine

from hone.bundle.bundle import Bundle
from hone.cli.console import Lines
from hone.core.lineage import digest_value
from hone.pipeline.recipe import Recipe, make_recipe
from hone.pipeline.run import run_stages
from hone.pipeline.yaml_file import parse_yaml

Run = dict[str, Any]
ALONE = "evaluate"  # the folder, within that of a run, of an evaluation alone


def arguments(parser: argparse.ArgumentParser, *, seeds: list[int], out: str) -> None:
    """Those that every such benchmark has."""
    parser.add_argument("name")
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--out", type=Path, default=Path(out))


def recipe_values(given: argparse.Namespace, *, here: Path) -> dict[str, Any]:
    """The recipe ``here/NAME.yaml``."""
    values, _ = parse_yaml((here / f"{given.name}.yaml").read_text(), file=given.name)
    return values


def folder(given: argparse.Namespace, seed: int, *, here: Path) -> Path:
    """Where a run leaves what it made: another recipe finds nothing of this one there."""
    made = digest_value(recipe_values(given, here=here))[:8]
    return Path(given.out / f"{Path(given.name).name}-{made}-{seed}")


def recipe_of(values: Mapping[str, Any], **other: Any) -> Recipe:
    """A recipe whose data lies in HONE_DATA, with other values in place of its own."""
    return make_recipe({**values, **other}, folder=Path(os.environ["HONE_DATA"]))


def reports_of(values: Mapping[str, Any], seed: int, out: Path) -> dict[str, Any]:
    """What training and, where the recipe evaluates, evaluation report, by kind of stage. A run that was stopped goes
    on: what it trained lies in ``out/bundle`` and is judged alone, in `judged_in`."""
    recipe = recipe_of(values, seed=seed)
    (trains,) = (choice.stage.kind for choice in recipe.stages if choice.stage.trains)
    judges = [i for i, choice in enumerate(recipe.stages) if choice.stage.kind == "evaluate"]
    trained = _report(out, trains)
    if trained is None or not (out / "bundle").is_dir():
        # A bundle without its report was not ended: it is made again, from the last checkpoint if there is one.
        for old in ("bundle", ALONE):
            shutil.rmtree(out / old, ignore_errors=True)
        run_stages(recipe, out=out, progress=Lines())
        trained = _report(out, trains)
    if judges and _report(judged_in(out), "evaluate") is None:
        alone = recipe_of(values, seed=seed, stages=[values["stages"][i] for i in judges])
        run_stages(alone, out=out / ALONE, progress=Lines(), bundle=Bundle.open(out / "bundle"))
    return {trains: trained, **({"evaluate": _report(judged_in(out), "evaluate")} if judges else {})}


def judged_in(out: Path) -> Path:
    """The folder of the evaluation: that of the run, or one of its own where the run was stopped during it."""
    return out / ALONE if (out / ALONE).is_dir() else out


def _report(out: Path, kind: str) -> Any:
    """A stage's report; None where there is none yet."""
    found = list((out / "reports").glob(f"[0-9][0-9]-{kind}.json"))
    return json.loads(found[0].read_text(encoding="utf-8")) if found else None


def each_seed(
    given: argparse.Namespace,
    measured: Callable[[dict[str, Any], int, Path], Run],
    *,
    here: Path,
    summary: Callable[[list[Run]], dict[str, Any]] = lambda runs: {},
) -> list[Run]:
    """Every run of the recipe ``here/NAME.yaml``; after each one ``here/NAME.json`` has recipe, runs and machine, those
    of another process that measures other seeds among them.

    Args:
        measured: Of the recipe's values, a seed and a folder: one run, whose ``seed`` it says.
        summary: What the file says of all runs beside them.
    """
    values = recipe_values(given, here=here)
    file = here / f"{given.name}.json"
    for seed in given.seeds:
        if any(run["seed"] == seed for run in _runs_in(file, values)):
            continue
        run = measured(values, seed, folder(given, seed, here=here))
        print(json.dumps(run, ensure_ascii=False), flush=True)
        runs = [*_runs_in(file, values), run]  # another process may have added to them meanwhile
        record = {"recipe": values, "runs": runs, **summary(runs), "machine": machine()}
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return _runs_in(file, values)


def _runs_in(file: Path, recipe: Mapping[str, Any]) -> list[Run]:
    """The runs of this very recipe that a file has."""
    before = json.loads(file.read_text()) if file.is_file() else {}
    return before["runs"] if before.get("recipe") == recipe else []

"""A recipe that lies beside a benchmark, run once a seed; what has been measured already is not run again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import machine

from hone.core.lineage import digest_value
from hone.pipeline.yaml_file import parse_yaml

Run = dict[str, Any]


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


def each_seed(
    given: argparse.Namespace,
    measured: Callable[[dict[str, Any], int, Path], Run],
    *,
    here: Path,
    summary: Callable[[list[Run]], dict[str, Any]] = lambda runs: {},
) -> list[Run]:
    """Every run of the recipe ``here/NAME.yaml``; after each one ``here/NAME.json`` has recipe, runs and machine.

    Args:
        measured: Of the recipe's values, a seed and a folder: one run, whose ``seed`` it says.
        summary: What the file says of all runs beside them.
    """
    values = recipe_values(given, here=here)
    file = here / f"{given.name}.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    runs: list[Run] = before["runs"] if before.get("recipe") == values else []
    for seed in given.seeds:
        if any(run["seed"] == seed for run in runs):
            continue
        runs.append(measured(values, seed, folder(given, seed, here=here)))
        print(json.dumps(runs[-1], ensure_ascii=False), flush=True)
        record = {"recipe": values, "runs": runs, **summary(runs), "machine": machine()}
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return runs

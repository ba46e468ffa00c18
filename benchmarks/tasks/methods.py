"""How good is each tuning method on Banking77, and what does it take? One table.

python benchmarks/tasks/methods.py [--methods lora full ...] [--seeds 1 2 3] [--only choose|test]
HONE_DATA names the folder of the datasets. Each method's rate is the best of three on a validation part carved from
train, after a third of the epochs; then it trains on every row with that rate, and the test split is read once a seed.
Each cell is a process of its own, so that its peak memory is its own, and is written to benchmarks/tasks/methods.json
when it is done; one that stands there already, of the same recipe, is not run again, and one of another recipe, of
other settings that is, is neither chosen by nor in the table. By an estimate of 900 tokens a second some four hours of
one core with one seed, and two more with each other; --methods parts it, among several processes too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
FILE = HERE / "methods.json"
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402

ALL = "all-linear"
Split = Literal["validation", "test"]
METHODS: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "full": ({"name": "full"}, (1e-4, 3e-4, 6e-4)),
    "head": ({"name": "head"}, (1e-3, 3e-3, 1e-2)),
    "top-n": ({"name": "top-n", "layers": 2}, (1e-4, 3e-4, 1e-3)),
    "bitfit": ({"name": "bitfit"}, (1e-3, 3e-3, 1e-2)),
    "lora": ({"name": "lora", "r": 8, "lora_alpha": 16.0, "target_modules": ALL}, (5e-4, 1e-3, 2e-3)),
    "lora-dora": ({"name": "lora", "r": 8, "target_modules": ALL, "use_dora": True}, (5e-4, 1e-3, 2e-3)),
    "adalora": ({"name": "adalora", "target_modules": ALL}, (1e-3, 2e-3, 5e-3)),
    "ia3": ({"name": "ia3"}, (3e-3, 1e-2, 3e-2)),
    "houlsby": ({"name": "houlsby", "bottleneck_size": 32}, (5e-4, 1e-3, 2e-3)),
    "pfeiffer": ({"name": "pfeiffer", "bottleneck_size": 32}, (5e-4, 1e-3, 2e-3)),
    "prefix": ({"name": "prefix", "num_virtual_tokens": 20}, (1e-3, 3e-3, 1e-2)),
    "p-tuning-v2": ({"name": "p-tuning-v2", "num_virtual_tokens": 20}, (3e-3, 1e-2, 3e-2)),
    "prompt": ({"name": "prompt", "num_virtual_tokens": 20}, (3e-3, 1e-2, 3e-2)),
    "p-tuning": ({"name": "p-tuning", "num_virtual_tokens": 20}, (1e-3, 3e-3, 1e-2)),
}
EPOCHS = {"full": 2.0}
MORE_EPOCHS = 3.0  # of the others, which move less a step
TO_CHOOSE = 1 / 3  # of the epochs: rates tell apart early, and three of them a method would be half of all the time
SHARED = {"head_learning_rate": 3e-3, "head_init": "probe", "class_weights": "balanced", "dropout": 0.0,
          "save_steps": None}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--only", choices=["choose", "test"])
    parser.add_argument("--child", type=json.loads)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.child)))
        return
    for name in given.methods:
        if given.only != "test":
            for rate in METHODS[name][1]:
                run(cell_of(name, rate, seed=0, split="validation"))
        if given.only != "choose":
            best = chosen(cells_so_far(), name)
            for seed in given.seeds:
                run(cell_of(name, best, seed=seed, split="test"))


def cells_so_far() -> list[dict[str, Any]]:
    """All that was measured; another process may add to it."""
    cells: list[dict[str, Any]] = json.loads(FILE.read_text())["cells"] if FILE.is_file() else []
    return cells


def cell_of(name: str, rate: float, *, seed: int, split: Split) -> dict[str, Any]:
    """A cell that is to be measured."""
    return {"name": name, "method": METHODS[name][0], "rate": rate, "seed": seed, "split": split}


def chosen(cells: list[dict[str, Any]], name: str) -> float:
    """The rate that was best on validation, of all in the method's list."""
    tried = rates_tried(cells, name)
    lacking = [rate for rate in METHODS[name][1] if rate not in tried]
    if lacking:
        sys.exit(f"{name}: validation has no result at {lacking}; run --methods {name} --only choose first")
    return max(tried, key=lambda rate: tried[rate])


def rates_tried(cells: list[dict[str, Any]], name: str) -> dict[float, float]:
    """Of each rate of the method's list that was tried, its accuracy on validation."""
    found = {cell["rate"]: cell["accuracy"][0] for cell in of_now(cells, name, "validation")}
    return {rate: found[rate] for rate in METHODS[name][1] if rate in found}


def of_now(cells: list[dict[str, Any]], name: str, split: Split) -> list[dict[str, Any]]:
    """What was measured of a method by the recipe that it has now: settings may have been others before."""
    own = [cell for cell in cells if (cell["name"], cell["split"]) == (name, split)]
    return [
        cell for cell in own if cell["recipe"] == recipe_of(cell_of(name, cell["rate"], seed=cell["seed"], split=split))
    ]


def on_test(cells: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The seeds of a method at the rate that is chosen; none before all of its rates are tried."""
    if len(rates_tried(cells, name)) < len(METHODS[name][1]):
        return []
    best = chosen(cells, name)
    return [cell for cell in of_now(cells, name, "test") if cell["rate"] == best]


def run(wanted: dict[str, Any]) -> None:
    """Run a cell as a process, unless it stands there already, and write all that there are."""
    recipe = recipe_of(wanted)
    if any(cell["recipe"] == recipe and cell["split"] == wanted["split"] for cell in cells_so_far()):
        return
    command = [sys.executable, __file__, "--child", json.dumps(wanted)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    cells = [*cells_so_far(), json.loads(done.stdout.splitlines()[-1])]
    FILE.write_text(json.dumps({"table": table(cells), "cells": cells, "machine": machine()}, indent=1) + "\n")
    print(json.dumps({key: value for key, value in cells[-1].items() if key != "recipe"}), flush=True)


def recipe_of(wanted: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a cell; data lies in HONE_DATA."""
    folder = "intent/banking77"
    epochs = EPOCHS.get(wanted["name"], MORE_EPOCHS) * (TO_CHOOSE if wanted["split"] == "validation" else 1)
    stage = {"kind": "finetune", "method": wanted["method"], "learning_rate": wanted["rate"], **SHARED,
             "num_train_epochs": round(epochs, 2)}  # fmt: skip
    data: dict[str, Any] = {"train": f"{folder}/train.jsonl"}
    stages: list[Any] = [stage]
    if wanted["split"] == "test":
        data |= {"test": f"{folder}/test.jsonl", "validation": "none"}
        stage |= {"eval_strategy": "no", "keep": "last"}
        stages.append("evaluate")
    task = {"name": "text-classification", "pooling": "mean", "max_length": 128}
    return {"version": 1, "task": task, "base": "minilm", "seed": wanted["seed"], "data": data, "stages": stages}


def measured(wanted: dict[str, Any]) -> dict[str, Any]:
    """What a cell gives; in this process, which does nothing else."""
    from hone.cli.console import Lines
    from hone.pipeline.recipe import make_recipe
    from hone.pipeline.run import run_stages

    values = recipe_of(wanted)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        recipe = make_recipe(values, folder=Path(os.environ["HONE_DATA"]))
        result = run_stages(recipe, out=Path(folder), progress=Lines())
        seconds = time.perf_counter() - began
        assert result.bundle is not None
        size = sum(record.bytes for record in result.bundle.manifest.files.values()) / 1e6
    tuned = result.reports["finetune"]
    judged = tuned if wanted["split"] == "validation" else result.reports["evaluate"]
    accuracy = next(measure for measure in judged.measures if measure.name == "accuracy")
    return {
        "name": wanted["name"],
        "rate": wanted["rate"],
        "seed": wanted["seed"],
        "split": wanted["split"],
        "accuracy": [accuracy.value, accuracy.low, accuracy.high, accuracy.n],
        "trained_parameters": tuned.facts["trained_parameters"],
        "train_seconds": tuned.facts["seconds"],
        "seconds": round(seconds, 1),
        "peak_mb": round(peak_mb(), 1),
        "bundle_mb": round(size, 3),
        "recipe": values,
    }


def peak_mb() -> float:
    """Most memory that this process has held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("no VmHWM in /proc/self/status")


def table(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a method, over the seeds on test. The interval, Wilson's, and what it took are the first seed's: measure
    that one on a quiet machine."""
    rows = []
    of_full = on_test(cells, "full")
    for name in METHODS:
        found = sorted(on_test(cells, name), key=lambda cell: cell["seed"])
        if not found:
            continue
        values = [cell["accuracy"][0] for cell in found]
        first = found[0]
        learned = first["trained_parameters"]
        rows.append(
            {
                "method": name,
                "rate": first["rate"],
                "seeds": len(found),
                "accuracy": round(statistics.mean(values), 4),
                "lowest": min(values),
                "highest": max(values),
                "interval": first["accuracy"][1:3],
                "trained_parameters": learned,
                "share_of_full": round(learned / of_full[0]["trained_parameters"], 5) if of_full else None,
                "train_seconds": first["train_seconds"],
                "peak_mb": first["peak_mb"],
                "bundle_mb": first["bundle_mb"],
            }
        )
    return rows


if __name__ == "__main__":
    main()

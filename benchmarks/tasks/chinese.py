"""What do models made from nothing give on Chinese data sets? Every data set with every architecture, one table.

python benchmarks/tasks/chinese.py --seeds 1 --out runs/chinese
python benchmarks/tasks/chinese.py --only cluener:bilstm --validation stages.0.learning_rate=2e-3

HONE_DATA names the folder of the data sets. Settings were chosen on the validation rows that are carved from train:
--validation shows those and reads no test split. Without it the result goes to benchmarks/tasks/chinese.json after each
cell; a cell that stands there already, of this very recipe and seed, is not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

from hone.cli.console import Lines  # noqa: E402
from hone.pipeline.recipe import apply_overrides, make_recipe  # noqa: E402
from hone.pipeline.run import run_stages  # noqa: E402
from hone.pipeline.yaml_file import parse_yaml  # noqa: E402

FILE = HERE / "chinese.json"
MEASURE = {"cluener": "entity_f1", "smp2019": "accuracy", "chnsenticorp": "accuracy"}
BASES: dict[str, dict[str, Any]] = {
    "bert": {"architecture": "bert", "layers": 3, "hidden": 192, "heads": 4},
    "textcnn": {"architecture": "textcnn"},
    "bilstm": {"architecture": "bilstm"},
    "dan": {"architecture": "dan"},
}
RATES = {"bert": 5e-4, "textcnn": 1e-3, "bilstm": 2e-3, "dan": 2e-3}
LEAST_ROWS = 10  # of a label of SMP2019
TEST_SHARE = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="+", default=[], metavar="DATASET:ARCHITECTURE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--validation", action="store_true", help="Show validation alone; test is not read.")
    parser.add_argument("--out", type=Path, default=Path("runs/chinese"))
    given = parser.parse_args()
    if given.overrides and not given.validation:
        parser.error("KEY=VALUE is for --validation: what the table shows is what stands in the recipes")
    prepare(given.out)
    cells = [f"{name}:{architecture}" for name in MEASURE for architecture in BASES]
    for seed in given.seeds:
        for cell in given.only or cells:
            recipe = recipe_of(*cell.split(":"), seed=seed, out=given.out)
            if given.validation:
                show_validation(cell, recipe, given.overrides, given.out)
            else:
                fill(cell, recipe, given.out)


def recipe_of(name: str, architecture: str, *, seed: int, out: Path) -> dict[str, Any]:
    """Values of the recipe of a cell; what `prepare` wrote is named by its place."""
    values, _ = parse_yaml((HERE / f"{name}.yaml").read_text(), file=name)
    data = {split: path if "/" in path else str(out.absolute() / path) for split, path in values["data"].items()}
    values["stages"][0]["learning_rate"] = RATES[architecture]
    return {**values, "base": BASES[architecture], "seed": seed, "data": data}


def fill(cell: str, recipe: dict[str, Any], out: Path) -> None:
    """Measure a cell, unless the table has it, and write the table. ``seconds`` of one that went on with an interrupted
    training are what was left of it, and ``resumed_at_step`` says so."""
    known = {**recipe, "data": "as prepared"}
    if any(one["cell"] == cell and one["recipe"] == known for one in cells_so_far()):
        return
    began = time.perf_counter()
    result = run_stages(
        make_recipe(recipe, folder=Path(os.environ["HONE_DATA"])), out=folder_of(cell, recipe, out), progress=Lines()
    )
    found = next(m for m in result.reports["evaluate"].measures if m.name == MEASURE[cell.split(":")[0]])
    assert result.bundle is not None
    made = {
        "cell": cell,
        "seed": recipe["seed"],
        "measure": found.name,
        "value": found.value,
        "interval": [found.low, found.high],
        "n": found.n,
        "validation": result.reports["finetune"].measures[0].value,
        "train_seconds": result.reports["finetune"].facts["seconds"],
        "seconds": round(time.perf_counter() - began, 1),
        "resumed_at_step": result.reports["finetune"].facts["resumed_at_step"],
        "bundle_mb": round(sum(one.bytes for one in result.bundle.manifest.files.values()) / 1e6, 2),
        "bundle": result.bundle.digest,
        "recipe": known,
    }
    print(json.dumps({key: value for key, value in made.items() if key != "recipe"}), flush=True)
    others = [one for one in cells_so_far() if (one["cell"], one["seed"]) != (cell, recipe["seed"])]
    table = {"cells": sorted([*others, made], key=lambda one: (one["cell"], one["seed"])), "machine": machine()}
    FILE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


def cells_so_far() -> list[dict[str, Any]]:
    """The cells that the table has now; another process may add others."""
    cells: list[dict[str, Any]] = json.loads(FILE.read_text())["cells"] if FILE.is_file() else []
    return cells


def show_validation(cell: str, recipe: dict[str, Any], overrides: list[str], out: Path) -> None:
    """Train a cell with other settings and print how validation went."""
    values = copy.deepcopy(recipe)
    del values["data"]["test"]
    values["stages"] = values["stages"][:1]
    apply_overrides(values, overrides)
    decided = make_recipe(values, folder=Path(os.environ["HONE_DATA"]))
    place = folder_of(cell, recipe, out / "validation" / ("_".join(overrides).replace("/", "-") or "as-is"))
    report = run_stages(decided, out=place, progress=Lines()).reports["finetune"]
    curve = [round(float(row[1]), 4) for row in report.tables["validation_curve"].rows]
    print(
        json.dumps({"cell": cell, "overrides": overrides, "curve": curve, "seconds": report.facts["seconds"]}),
        flush=True,
    )


def folder_of(cell: str, recipe: dict[str, Any], out: Path) -> Path:
    """Where a cell runs; an interrupted training goes on from there."""
    return out / cell.replace(":", "-") / str(recipe["seed"])


def prepare(out: Path) -> None:
    """Write what is not used as published: SMP2019's two parts, ChnSentiCorp's dev without texts of train."""
    root = Path(os.environ["HONE_DATA"])
    out.mkdir(parents=True, exist_ok=True)
    train = rows_of(root / "sentiment/chnsenticorp/train.jsonl")
    seen = {row["text"].strip() for row in train}
    dev = [row for row in rows_of(root / "sentiment/chnsenticorp/dev.jsonl") if row["text"].strip() not in seen]
    write(out / "chnsenticorp-dev.jsonl", dev)
    prepare_smp2019(out)


def prepare_smp2019(out: Path) -> None:
    """Write SMP2019's two parts, labels with few rows left out: ``smp2019-train.jsonl`` and ``smp2019-test.jsonl``."""
    root = Path(os.environ["HONE_DATA"])
    rows = [{"text": row["text"], "label": row["domain"]} for row in rows_of(root / "intent/smp2019_nlu/train.jsonl")]
    counts = Counter(row["label"] for row in rows)
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if counts[row["label"]] >= LEAST_ROWS:
            by_label.setdefault(row["label"], []).append(row)
    rng, parts = random.Random(2019), {"train": [], "test": []}  # type: ignore[var-annotated]
    for label in sorted(by_label):
        members = rng.sample(by_label[label], len(by_label[label]))
        cut = round(TEST_SHARE * len(members))
        parts["test"] += members[:cut]
        parts["train"] += members[cut:]
    for name, part in parts.items():
        write(out / f"smp2019-{name}.jsonl", part)


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What do techniques of the loop bring where labels are few, and what do they cost?

python benchmarks/tasks/techniques.py choose     # each technique's settings, on sentences that no training reads
python benchmarks/tasks/techniques.py run        # three seeds, 1,000 sentences of SST-2 each, dev read once a training
python benchmarks/tasks/techniques.py run --only fgm --seeds 1

Every training is a process of its own, so that its memory is its own; one that is among the cells already is not done
again, so an interrupted measurement goes on. HONE_DATA names the datasets. Writes benchmarks/tasks/techniques.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import paired  # noqa: E402
from machine import machine  # noqa: E402
from rows import lines_of, rows_of  # noqa: E402

RESULT = HERE / "techniques.json"
SENTENCES, DEV = "sentiment/sst2/train_sentences.jsonl", "sentiment/sst2/dev.jsonl"
TRAINED, HELD_OUT = 1000, 1000
PLAIN = {"num_train_epochs": 3, "learning_rate": 2e-4, "eval_strategy": "no", "keep": "last", "save_steps": None}
CONSTANT = {"lr_scheduler_type": "constant", "learning_rate": 1e-4}
# What `choose` tries, the paper's own or hone's default first; `run` takes what was chosen, or the first.
TRIED: dict[str, list[dict[str, Any]]] = {
    "plain": [{}],
    "ema": [{"decay": 0.95}, {"decay": 0.9}],
    "swa": [{"start": 0.5}, {"start": 0.5, "every_steps": 8}],
    "layer-decay": [{"decay": 0.9}, {"decay": 0.8}],
    "gradual-unfreezing": [{}, {"until": 0.25}],
    "gradient-checkpointing": [{}],
    "mixout": [{"p": 0.7}, {"p": 0.3}],
    "r-drop": [{"alpha": 1.0}, {"alpha": 5.0}],
    "fgm": [{"epsilon": 5.0}, {"epsilon": 20.0}],
    "freelb": [{}, {"rate": 8.0, "start": 8.0}],
    "contrastive": [{"weight": 0.1}, {"weight": 0.5}],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("choose", "run", "cell"))
    parser.add_argument("--only", nargs="+", default=list(TRIED), choices=list(TRIED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--cell", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.what == "cell":
        print(json.dumps(measured(json.loads(given.cell))))
        return
    record = json.loads(RESULT.read_text()) if RESULT.is_file() else {"chosen": {}, "cells": {}}
    if given.what == "choose":
        choose(record, given.only)
        return
    for seed in given.seeds:
        for name in dict.fromkeys(["plain", *given.only]):  # a technique beside the plain training of its seed
            settings = record["chosen"].get(name, TRIED[name][0])
            done(record, {"name": name, "settings": settings, "seed": seed, "on": "dev"})
    record["table"] = table(record["cells"].values())
    record["machine"] = machine()
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(shown(record["table"]))


def choose(record: dict[str, Any], names: list[str]) -> None:
    """The settings of each technique with the most right answers on held-out sentences, one seed."""
    for name in names:
        if len(TRIED[name]) == 1:
            continue
        cells = [done(record, {"name": name, "settings": s, "seed": 0, "on": "held out"}) for s in TRIED[name]]
        best = max(cells, key=share_right)
        record["chosen"][name] = best["settings"]
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
        print(name, *(f"{cell['settings']}: {share_right(cell):.4f}" for cell in cells), sep="\n  ", flush=True)


def done(record: dict[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a cell: from the file, or measured now in a process of its own and kept."""
    key = json.dumps(cell, sort_keys=True)
    if key not in record["cells"]:
        command = [sys.executable, __file__, "cell", "--cell", json.dumps(cell)]
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record["cells"][key] = json.loads(ended.stdout.splitlines()[-1])
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
        found = record["cells"][key]
        print(f"{key}: {share_right(found):.4f}, {found['seconds']:.1f} s", file=sys.stderr, flush=True)
    result: dict[str, Any] = record["cells"][key]
    return result


def measured(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Train, answer and look at the memory; runs in a process of its own."""
    import hone

    name, on = cell["name"], cell["on"]
    lines = lines_of(Path(os.environ["HONE_DATA"]) / SENTENCES)
    order = np.random.default_rng(0).permutation(len(lines))
    held_out, rest = order[:HELD_OUT], order[HELD_OUT:]
    train = np.random.default_rng(cell["seed"]).choice(rest, TRAINED, replace=False)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for file, rows in (("train", train), ("held-out", held_out)):
            (folder / f"{file}.jsonl").write_text("".join(lines[i] + "\n" for i in rows.tolist()))
        test = str(folder / "held-out.jsonl") if on == "held out" else str(Path(os.environ["HONE_DATA"]) / DEV)
        techniques = [] if name == "plain" else [{"name": name, **cell["settings"]}]
        stage = {"kind": "finetune", **PLAIN, **(CONSTANT if name == "swa" else {}), "techniques": techniques}
        values = {
            "version": 1, "task": "text-classification", "seed": cell["seed"], "stages": [stage, "evaluate"],
            "data": {"train": str(folder / "train.jsonl"), "validation": "none", "test": test},
        }  # fmt: skip
        result = hone.run(values, out=folder / "run")
        (file_of_answers,) = (folder / "run" / "stages").glob("*-evaluate/predictions.jsonl")
        answers = rows_of(file_of_answers)
    return {
        **cell,
        "right": "".join(str(int(answer["label"] == answer["prediction"]["label"])) for answer in answers),
        "seconds": result.reports["finetune"].facts["seconds"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def table(cells: Any) -> list[dict[str, Any]]:
    """Of each technique beside the plain trainings of the same seeds: accuracy, the difference with its paired
    interval over the sentences of dev (both answers of a sentence are drawn together, means over seeds), cost."""
    of: dict[str, dict[int, dict[str, Any]]] = {}
    for cell in cells:
        if cell["on"] == "dev":
            of.setdefault(cell["name"], {})[cell["seed"]] = cell
    rows = []
    for name, own in of.items():
        found = paired.compared(right_of(own), right_of(of["plain"]))
        seeds = found["seeds"]
        ratios = [own[s]["seconds"] / of["plain"][s]["seconds"] for s in seeds]
        memory = [own[s]["peak_mb"] - of["plain"][s]["peak_mb"] for s in seeds]
        rows.append(
            {
                "technique": name,
                "settings": own[seeds[0]]["settings"],
                **found,
                "seconds_ratio": statistics.median(ratios),
                "more_memory_mb": statistics.median(memory),
            }
        )
    return rows


def right_of(cells: Mapping[int, Mapping[str, Any]]) -> dict[int, list[int]]:
    return {seed: [int(one) for one in cell["right"]] for seed, cell in cells.items()}


def share_right(cell: Mapping[str, Any]) -> float:
    """Of the sentences; ``right`` has a 1 for each that is, and a 0 for each that is not."""
    right: str = cell["right"]
    return right.count("1") / len(right)


def shown(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'':24} accuracy    gain  [95%, paired]       time   memory"]
    for row in rows:
        cost = f"  x{row['seconds_ratio']:.2f} {row['more_memory_mb']:+6.0f} MB"
        lines.append(paired.shown(row, name=row["technique"]) + cost)
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Does a token cost the same when there are two hundred times as many, and does memory stay?

python benchmarks/engine/growth.py BUNDLE
Answers 1,000 to 200,000 texts (SST-2's training phrases) with `hone predict`, file to file, each number
of texts in a process of its own, sizes in turn, forth and back; and trains a tiny base on as many. Seconds are those
of the work without the start of the process; memory is the most that the process ever held. HONE_DATA names the
datasets. Writes benchmarks/engine/growth.json.
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
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import lines_of  # noqa: E402

SOURCE = "sentiment/sst2/train.jsonl"
SIZES = {"predict": (1_000, 10_000, 200_000), "train": (1_000, 10_000, 200_000)}


def rows(count: int, file: Path) -> None:
    """So many rows over and over, so that every size has the same lengths."""
    lines = lines_of(Path(os.environ["HONE_DATA"]) / SOURCE)
    step = max(1, len(lines) // 1000)
    some = lines[::step][:1000]
    with file.open("w") as out:
        for at in range(0, count, len(some)):
            for line in some[: count - at]:
                row = json.loads(line)
                row["text"] = f"{row['text']} {at % 97}"  # no two parts alike: nothing is found in a cache
                out.write(json.dumps(row) + "\n")


def predict(bundle: Path, count: int, folder: Path) -> dict[str, float]:
    """Seconds a text of `hone predict`."""
    from hone.cli.answers import predict_file

    rows(count, folder / "texts.jsonl")
    rows(64, folder / "few.jsonl")
    opening = {"device": "cpu"}
    predict_file(bundle, str(folder / "few.jsonl"), out=folder / "warm.jsonl", columns={}, opening=opening)
    began = time.perf_counter()
    predict_file(bundle, str(folder / "texts.jsonl"), out=folder / "answers.jsonl", columns={}, opening=opening)
    return {"seconds": time.perf_counter() - began}


def train(count: int, folder: Path) -> dict[str, float]:
    """Seconds a text of one epoch of a tiny base, everything from reading to bundle."""
    import hone
    from hone.models.tiny import write_tiny_base

    rows(count, folder / "texts.jsonl")
    base = write_tiny_base(folder / "base", width=64, positions=128)
    values = {
        "version": 1, "task": "text-classification", "base": str(base),
        "data": {"train": str(folder / "texts.jsonl"), "validation": "none"},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 1, "eval_strategy": "no", "keep": "last", "save_steps": None}
        ],
    }  # fmt: skip
    began = time.perf_counter()
    hone.run(values, out=folder / "run")
    return {"seconds": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=SIZES, default=list(SIZES), help="the others stay as they are")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "COUNT"))
    given = parser.parse_args()
    if given.one:
        kind, count = given.one[0], int(given.one[1])
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HONE_CACHE"] = str(Path(folder) / "cache")
            found = predict(given.bundle, count, Path(folder)) if kind == "predict" else train(count, Path(folder))
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(json.dumps(found))
        return
    file = HERE / "growth.json"
    record: dict[str, Any] = {**(json.loads(file.read_text()) if file.is_file() else {}), "machine": machine()}
    for kind in given.kinds:
        counts = SIZES[kind]
        runs: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for repeat in range(given.repeats):
            for count in counts if repeat % 2 == 0 else counts[::-1]:
                command = [sys.executable, __file__, str(given.bundle), "--one", kind, str(count)]
                ran = subprocess.run(command, check=True, capture_output=True, text=True)
                runs[count].append(json.loads(ran.stdout.splitlines()[-1]))
                print(kind, count, runs[count][-1], flush=True)
        record[kind] = {
            str(count): {
                "ms_a_text": round(statistics.median(1e3 * run["seconds"] / count for run in each), 4),
                "peak_mb": round(statistics.median(run["peak_mb"] for run in each), 1),
            }
            for count, each in runs.items()
        }
        print(record[kind])
        file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How much sooner is an epoch when the lower half of the layers is frozen and its states are kept?

python benchmarks/engine/frozen.py --rows 640 --repeats 5
Full fine-tuning and freeze_layers: 3 on Banking77, two epochs each, in alternation; the seconds are those of the second
epoch. HONE_DATA names the datasets. Writes benchmarks/engine/frozen.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "finetune")]

from machine import machine  # noqa: E402
from rows import lines_of, rows_of  # noqa: E402
from speed import SETS  # noqa: E402

import hone  # noqa: E402

BATCH = 32


def second_epoch(rows: list[str], folder: Path, *, freeze_layers: int) -> float:
    """Seconds of the second epoch."""
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    os.environ["HONE_CACHE"] = str(folder / "cache")
    values = {
        "version": 1, "task": {"name": "text-classification", "pooling": "cls"}, "seed": 1,
        "data": {"train": str(folder / "rows.jsonl"), "validation": "none"},
        "stages": [
            {
                "kind": "finetune", "num_train_epochs": 2, "per_device_train_batch_size": BATCH, "logging_steps": 1,
                "eval_strategy": "no", "keep": "last", "save_steps": None, "freeze_layers": freeze_layers,
            }
        ],
    }  # fmt: skip
    hone.run(values, out=folder / "run")
    log = rows_of(next((folder / "run").rglob("log.jsonl")))
    seconds = [line["seconds"] for line in log]
    return float(seconds[-1] - seconds[len(seconds) // 2 - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    lines = lines_of(Path(os.environ["HONE_DATA"]) / SETS["banking77"])
    rows = lines[:: len(lines) // given.rows][: given.rows]
    seconds: dict[str, list[float]] = {"full": [], "frozen": []}
    for _ in range(given.repeats):
        for name, layers in (("full", 0), ("frozen", 3)):
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(second_epoch(rows, Path(folder), freeze_layers=layers))
            print(name, round(seconds[name][-1], 3), flush=True)
    ratios = [full / frozen for full, frozen in zip(seconds["full"], seconds["frozen"], strict=True)]
    record = {
        "rows": given.rows, "seconds": seconds, "ratios": ratios, "ratio_median": round(statistics.median(ratios), 3),
        "machine": machine(),
    }  # fmt: skip
    print("an epoch over the upper half is so many times as fast:", record["ratio_median"])
    (HERE / "frozen.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

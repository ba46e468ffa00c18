"""Is the memory that `hone inspect` predicts what training then takes?

python benchmarks/engine/memory.py
Each case is `hone run` in a process of its own over some hundred rows: the estimate is the one of its inspection, the
measured figure the most memory that the process ever held. HONE_DATA names the datasets. Writes
benchmarks/engine/memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import lines_of  # noqa: E402

SST2, BANKING77, IMDB = "sentiment/sst2/train_sentences.jsonl", "intent/banking77/train.jsonl", "sentiment/imdb"
CASES: dict[str, dict[str, Any]] = {
    "sst2": {"file": SST2, "rows": 640},
    "banking77": {"file": BANKING77, "rows": 640},
    "banking77, keeping the last": {"file": BANKING77, "rows": 640, "keep": "last", "eval_strategy": "no"},
    "banking77, batches of 128": {"file": BANKING77, "rows": 1280, "per_device_train_batch_size": 128},
    "banking77, adafactor": {"file": BANKING77, "rows": 640, "optim": "adafactor"},
    "banking77, all layers frozen": {"file": BANKING77, "rows": 640, "freeze_layers": 6},
    "imdb, batches of 8": {"file": IMDB, "rows": 64, "per_device_train_batch_size": 8},
    "imdb, batches of 32": {"file": IMDB, "rows": 96, "per_device_train_batch_size": 32},
}


def first_rows(name: str, count: int, folder: Path) -> Path:
    """A file of some rows, evenly drawn."""
    source = Path(os.environ["HONE_DATA"]) / name
    if source.is_dir():
        source = next(path for path in sorted(source.glob("*.jsonl")) if "train" in path.name)
    lines = lines_of(source)
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines[:: max(1, len(lines) // count)][:count]) + "\n")
    return file


def run_case(case: dict[str, Any], folder: Path) -> None:
    """What the process of a case does; prints estimate and peak, MB."""
    import hone

    settings = {key: value for key, value in case.items() if key not in ("file", "rows")}
    values = {
        "version": 1, "task": {"name": "text-classification", "max_length": 512},
        "data": {"train": str(first_rows(case["file"], case["rows"], folder))},
        "stages": [{"kind": "finetune", "num_train_epochs": 1, "save_steps": None, **settings}],
    }  # fmt: skip
    result = hone.run(values, out=folder / "run")
    said = {measure.name: measure.value for measure in result.reports["inspect"].measures}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"estimated_mb": said["estimated_memory"], "measured_mb": peak / 1e6}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES)
    given = parser.parse_args()
    if given.case:
        with tempfile.TemporaryDirectory() as folder:
            run_case(CASES[given.case], Path(folder))
        return
    record: dict[str, Any] = {"machine": machine(), "cases": {}}
    for name in CASES:
        ran = subprocess.run([sys.executable, __file__, "--case", name], check=True, capture_output=True, text=True)
        found = json.loads(ran.stdout.splitlines()[-1])
        found["ratio"] = round(found["estimated_mb"] / found["measured_mb"], 3)
        record["cases"][name] = {key: round(value, 3) for key, value in found.items()}
        print(name, record["cases"][name], flush=True)
    (HERE / "memory.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

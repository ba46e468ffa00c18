"""How good are hone's recipes on public data? One recipe, several seeds, the test split read once a seed.

python benchmarks/quality/measure.py banking77 --seeds 1 2 3 --out runs/quality
HONE_DATA names the folder of the datasets. The result goes to benchmarks/quality/NAME.json after each seed; a seed that
stands there already, of this very recipe, is not run again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from seeds import Run, arguments, each_seed, reports_of  # noqa: E402

from hone.bundle.bundle import Bundle  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser, seeds=[1, 2, 3], out="runs/quality")
    each_seed(parser.parse_args(), measured, here=HERE, summary=means)


def means(runs: list[Run]) -> dict[str, Any]:
    names = runs[0]["measures"]
    return {"mean": {name: statistics.mean(run["measures"][name][0] for run in runs) for name in names}}


def measured(values: dict[str, Any], seed: int, out: Path) -> Run:
    """One run of the recipe: its bundle, seconds, and measures as value, low, high and n. One that was stopped goes on:
    ``seconds`` are then those of what was left, and ``resumed`` says so."""
    began, resumed = time.perf_counter(), (out / "bundle").is_dir()
    reports = reports_of(values, seed, out)
    resumed |= reports["finetune"]["facts"]["resumed_at_step"] is not None
    return {
        "seed": seed,
        "bundle": Bundle.open(out / "bundle").digest,
        "seconds": round(time.perf_counter() - began, 1),
        "train_seconds": reports["finetune"]["facts"]["seconds"],
        **({"resumed": True} if resumed else {}),
        "measures": {
            m["name"]: [m["value"], m["low"], m["high"], m["n"]]
            for m in reports["evaluate"]["measures"]
            if m["value"] is not None
        },
    }


if __name__ == "__main__":
    main()

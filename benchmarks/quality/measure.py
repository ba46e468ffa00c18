"""How good are hone's recipes on public data? One recipe, several seeds, the test split read once a seed.

python benchmarks/quality/measure.py banking77 --seeds 1 2 3 --out runs/quality
HONE_DATA names the folder of the datasets. The result goes to benchmarks/quality/NAME.json after each seed; a seed that
stands there already, of this very recipe, is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402

from hone.cli.console import Lines  # noqa: E402
from hone.pipeline.recipe import make_recipe  # noqa: E402
from hone.pipeline.run import run_stages  # noqa: E402
from hone.pipeline.yaml_file import parse_yaml  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    given = parser.parse_args()
    values, _ = parse_yaml((HERE / f"{given.name}.yaml").read_text(), file=given.name)
    file = HERE / f"{given.name}.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    runs = before["runs"] if before.get("recipe") == values else []
    for seed in given.seeds:
        if any(run["seed"] == seed for run in runs):
            continue
        runs.append(measured(values, seed, out=given.out / f"{given.name}-{seed}"))
        print(json.dumps(runs[-1]), flush=True)
        names = runs[0]["measures"]
        means = {name: statistics.mean(run["measures"][name][0] for run in runs) for name in names}
        record = {"recipe": values, "runs": runs, "mean": means, "machine": machine()}
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def measured(values: dict[str, Any], seed: int, *, out: Path) -> dict[str, Any]:
    """One run of the recipe: its bundle, seconds, and measures as value, low, high and n."""
    began = time.perf_counter()
    recipe = make_recipe({**values, "seed": seed}, folder=Path(os.environ["HONE_DATA"]))
    result = run_stages(recipe, out=out, progress=Lines())
    return {
        "seed": seed,
        "bundle": result.bundle.digest if result.bundle else "",
        "seconds": round(time.perf_counter() - began, 1),
        "train_seconds": result.reports["finetune"].facts["seconds"],
        "measures": {
            m.name: [m.value, m.low, m.high, m.n] for m in result.reports["evaluate"].measures if m.value is not None
        },
    }


if __name__ == "__main__":
    main()

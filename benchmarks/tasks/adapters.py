"""Adapters over one base side by side: how much memory a process takes, and how long choosing another one takes.

python benchmarks/tasks/adapters.py [--adapters 20] [--rounds 200]
Makes so many random LoRA adapters of the default base with 77 labels, and measures in processes of their own: one that
opens the base with one adapter, and one that opens them all. Written to benchmarks/tasks/adapters.json. ``choice_ms``
is the time until another adapter is at hand; ``switch_ms`` what a request takes longer that names another one than the
request before it, by turns, which on a busy machine is mostly noise.
"""

from __future__ import annotations

import argparse
import json
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

LABELS = tuple(f"label {i}" for i in range(77))
TEXT = "where is the card that i ordered last week"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapters", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--child", type=Path, nargs="*")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.child, rounds=given.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        bundles = [made(Path(folder) / f"adapter-{i}", seed=i) for i in range(given.adapters)]
        size = sum(file.stat().st_size for file in bundles[0].iterdir() if file.suffix == ".safetensors") / 1e6
        one, all_of_them = (child(chosen, rounds=given.rounds) for chosen in (bundles[:1], bundles))
    allowed = 1.1 * (one["resident_mb"] + (given.adapters - 1) * size)
    found = {
        "adapters": given.adapters,
        "adapter_mb": round(size, 3),
        "one": one,
        "all": all_of_them,
        "allowed_mb": round(allowed, 1),
        "within": all_of_them["resident_mb"] <= allowed,
        "machine": machine(),
    }
    (HERE / "adapters.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def child(bundles: list[Path], *, rounds: int) -> dict[str, Any]:
    """`measured` in a process of its own."""
    command = [sys.executable, __file__, "--rounds", str(rounds), "--child", *map(str, bundles)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def made(folder: Path, *, seed: int) -> Path:
    """A bundle of a random adapter."""
    import torch

    from hone.bundle.manifest import Lineage
    from hone.models.base import resolve_base
    from hone.models.model import build_model
    from hone.predict.write import write_model
    from hone.tasks.make import make_task
    from hone.tasks.settings import TextClassificationSettings
    from hone.train.finetune import tune
    from hone.train.settings import FinetuneSettings

    base = resolve_base("minilm")
    task = make_task("text-classification", TextClassificationSettings(), labels=LABELS, folder=base.folder)
    torch.manual_seed(seed)
    model = build_model(base.folder, task.head)
    tune(model, FinetuneSettings.model_validate({"method": "lora"}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=seed, hone="")
    return write_model(folder, model, task, lineage=lineage, base=base).path


def measured(bundles: list[Path], *, rounds: int) -> dict[str, Any]:
    """Resident memory with all of them open and each asked once, and the time of requests."""
    import gc

    import hone

    began = time.perf_counter()
    shelf = hone.load_shelf(bundles, device="cpu")
    opened = time.perf_counter() - began
    names = list(shelf)
    for name in names:
        shelf.predict(TEXT, bundle=name)
    gc.collect()
    resident = resident_mb()
    same, other = [], []
    for i in range(rounds):
        same.append(timed(shelf, names[0]))
        other.append(timed(shelf, names[(1 + i) % len(names)]))
        timed(shelf, names[0])  # so that the next one finds its own adapter as warm as it would be
    choosing = [timed_choice(shelf, names[i % len(names)]) for i in range(rounds)]
    return {
        "resident_mb": round(resident, 1),
        "open_s": round(opened, 2),
        "same_ms": round(statistics.median(same), 3),
        "other_ms": round(statistics.median(other), 3),
        "switch_ms": round(statistics.median(b - a for a, b in zip(same, other, strict=True)), 4),
        "choice_ms": round(statistics.median(choosing), 5),
    }


def timed(shelf: Any, name: str) -> float:
    """Milliseconds of a request."""
    began = time.perf_counter()
    shelf.predict(TEXT, bundle=name)
    return 1000 * (time.perf_counter() - began)


def timed_choice(shelf: Any, name: str) -> float:
    """Milliseconds until the adapter is at hand."""
    began = time.perf_counter()
    shelf[name]
    return 1000 * (time.perf_counter() - began)


def resident_mb() -> float:
    """Memory that the process holds now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    main()

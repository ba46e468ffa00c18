"""What does `torch.compile` cost and bring on a CPU, for a base that trains through transformers' own modules?

python benchmarks/engine/compile.py --rows 1280
A DistilBERT of MiniLM's sizes with random weights trains on SST-2's sentences, as it is and compiled, in alternation,
each in a process of its own with an empty compiler cache. Steady seconds are the median of the later half of the
steps, by tokens; what compiling takes is the rest. HONE_DATA names the datasets. Writes benchmarks/engine/compile.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import lines_of, rows_of  # noqa: E402

LAYERS = 6


def write_base(folder: Path) -> Path:
    """The base: its own weights at random, MiniLM's tokenizer."""
    import torch
    import transformers

    from hone.models.base import resolve_base

    torch.manual_seed(1)
    config = transformers.DistilBertConfig(dim=384, n_layers=LAYERS, n_heads=12, hidden_dim=1536, vocab_size=30522)
    transformers.DistilBertModel(config).save_pretrained(folder)
    for file in resolve_base("minilm").folder.glob("*token*"):
        shutil.copy(file, folder)
    shutil.copy(resolve_base("minilm").folder / "vocab.txt", folder)
    return folder


def train(rows: int, folder: Path, *, compiled: bool) -> dict[str, float]:
    """Microseconds a token once it runs, and the seconds beyond that."""
    import hone

    source = Path(os.environ["HONE_DATA"]) / "sentiment/sst2/train_sentences.jsonl"
    (folder / "rows.jsonl").write_text("\n".join(lines_of(source)[:rows]) + "\n")
    values = {
        "version": 1, "task": "text-classification", "base": str(write_base(folder / "base")),
        "data": {"train": str(folder / "rows.jsonl"), "validation": "none"},
        "stages": [
            {
                "kind": "finetune", "num_train_epochs": 1, "eval_strategy": "no", "keep": "last", "save_steps": None,
                "logging_steps": 1, "torch_compile": compiled,
            }
        ],
    }  # fmt: skip
    hone.run(values, out=folder / "run")
    log = rows_of(next((folder / "run").rglob("log.jsonl")))
    marks = [(line["seconds"], line["tokens"]) for line in log]
    each = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(marks)]
    steady = statistics.median(each[len(each) // 2 :])
    return {"us_a_token": 1e6 * steady, "seconds_beyond": marks[-1][0] - steady * marks[-1][1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--one", choices=["plain", "compiled"])
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder) / "inductor")
            print(json.dumps(train(given.rows, Path(folder), compiled=given.one == "compiled")))
        return
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "compiled": []}
    for _ in range(given.repeats):
        for name, each in runs.items():
            command = [sys.executable, __file__, "--one", name, "--rows", str(given.rows)]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            each.append(json.loads(ran.stdout.splitlines()[-1]))
            print(name, each[-1], flush=True)
    medians = {name: statistics.median(run["us_a_token"] for run in each) for name, each in runs.items()}
    beyond = {name: statistics.median(run["seconds_beyond"] for run in each) for name, each in runs.items()}
    record: dict[str, Any] = {
        "rows": given.rows, "runs": runs, "gain": round(1 - medians["compiled"] / medians["plain"], 3),
        "seconds_a_layer": round((beyond["compiled"] - beyond["plain"]) / LAYERS, 2), "machine": machine(),
    }  # fmt: skip
    print({name: record[name] for name in ("gain", "seconds_a_layer")})
    (HERE / "compile.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

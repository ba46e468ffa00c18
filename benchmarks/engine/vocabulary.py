"""How much smaller is a bundle with the tokens of its domain alone, and are its answers the same?

python benchmarks/engine/vocabulary.py
Trains a little on Banking77 and on CoNLL-2003 (what is compared is size and sameness, not quality), prunes the
vocabulary with the test texts declared as domain text, and compares every answer to the test texts. HONE_DATA names
the datasets. Writes benchmarks/engine/vocabulary.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

import hone  # noqa: E402
from hone.bundle.bundle import Bundle  # noqa: E402

BANKING77 = {"task": {"name": "text-classification", "pooling": "mean"}, "train": "intent/banking77/train.jsonl"}
CASES: dict[str, dict[str, Any]] = {
    "banking77": {**BANKING77, "test": "intent/banking77/test.jsonl", "field": "text"},
    "conll2003": {
        "task": {"name": "token-classification"}, "train": "ner/conll2003/train.jsonl",
        "test": "ner/conll2003/test.jsonl", "field": "tokens",
    },
}  # fmt: skip


def size(bundle: Path) -> int:
    return sum(file.bytes for file in Bundle.open(bundle).manifest.files.values())


def case(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    data = Path(os.environ["HONE_DATA"])
    shared = {"version": 1, "task": given["task"]}
    sources = {"train": str(data / given["train"]), "unlabeled": str(data / given["test"])}
    values = {
        **shared, "data": sources,
        "stages": [
            {"kind": "finetune", "max_steps": 20, "eval_strategy": "no", "keep": "last", "save_steps": None},
            {"kind": "compress", "method": "vocabulary"},
        ],
    }  # fmt: skip
    hone.run(values, out=folder / "run")
    before, after = (next((folder / "run" / "stages").rglob("bundle")), folder / "run" / "bundle")
    inputs = [row[given["field"]] for row in rows_of(data / given["test"])]
    said = [hone.load(each).predict(inputs) for each in (before, after)]
    same = sum(one == other for one, other in zip(*said, strict=True))
    sizes = [size(each) for each in (before, after)]
    return {"bytes": sizes, "smaller": round(1 - sizes[1] / sizes[0], 4), "answers": len(inputs), "same": same}


def main() -> None:
    record: dict[str, Any] = {"machine": machine(), "cases": {}}
    for name, given in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            record["cases"][name] = case(given, Path(folder))
        print(name, record["cases"][name], flush=True)
    (HERE / "vocabulary.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

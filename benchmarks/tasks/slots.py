"""SMP2019 as ``intent-and-slots`` reads it: characters as tokens, BIO tags, domain and intent as label.

python benchmarks/tasks/slots.py --out runs/slots
hone run benchmarks/tasks/smp2019-slots.yaml data.train=$PWD/runs/slots/train.jsonl data.test=$PWD/runs/slots/test.jsonl

The second command is printed at the end: paths that are not absolute would start at the recipe's folder. HONE_DATA
names the folder of the data sets. One file is published: a fifth of the rows of each label is the test part, and labels
with few rows are left out. A slot is published as its text; its first occurrence is tagged.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from rows import rows_of

RECIPE = Path(__file__).absolute().parent / "smp2019-slots.yaml"
LEAST_ROWS = 10  # of a label
TEST_SHARE = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/slots"))
    out: Path = parser.parse_args().out
    file = Path(os.environ["HONE_DATA"]) / "intent/smp2019_nlu/train.jsonl"
    by_label: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(file):
        by_label.setdefault(row["label"], []).append(tagged(row))
    rng, parts = random.Random(2019), {"train": [], "test": []}  # type: ignore[var-annotated]
    for label in sorted(label for label, rows in by_label.items() if len(rows) >= LEAST_ROWS):
        rows = rng.sample(by_label[label], len(by_label[label]))
        cut = round(TEST_SHARE * len(rows))
        parts["test"] += rows[:cut]
        parts["train"] += rows[cut:]
    slots = {tag for row in parts["train"] for tag in row["tags"]}
    parts["test"] = [row for row in parts["test"] if slots.issuperset(row["tags"])]  # slots that train shows
    out.mkdir(parents=True, exist_ok=True)
    for name, some in parts.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some)
        (out / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(f"{name}: {len(some)} rows")
    places = (f"data.{name}={shlex.quote(str((out / f'{name}.jsonl').absolute()))}" for name in parts)
    print("hone run", shlex.quote(str(RECIPE)), *places)


def tagged(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row as characters with tags; of slots that overlap the longer one."""
    text = row["text"]
    tags = ["O"] * len(text)
    for name, value in sorted(row["slots"].items(), key=lambda item: -len(item[1])):
        start = text.index(value)
        if all(tag == "O" for tag in tags[start : start + len(value)]):
            tags[start : start + len(value)] = [f"B-{name}", *[f"I-{name}"] * (len(value) - 1)]
    return {"tokens": list(text), "tags": tags, "label": row["label"]}


if __name__ == "__main__":
    main()

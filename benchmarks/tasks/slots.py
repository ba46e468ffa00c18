"""What does a small model made from nothing give on SMP2019, request and slots together?

python benchmarks/tasks/slots.py --seeds 1 2 3 --out runs/slots

The rows are as ``intent-and-slots`` reads them: characters as tokens, BIO tags, domain and intent as label. HONE_DATA
names the folder of the data sets. One file is published: a fifth of the rows of each label is the test part, labels
with few rows are left out, and so are test rows with slots that no other row has. A slot is published as its text; its
first occurrence is tagged. The recipe is smp2019-slots.yaml, the result smp2019-slots.json; a seed that stands there
already, of this very recipe, is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "quality")]

from measure import means, measured  # noqa: E402
from rows import rows_of  # noqa: E402
from seeds import Run, each_seed  # noqa: E402

LEAST_ROWS = 10  # of a label
TEST_SHARE = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/slots"))
    given = parser.parse_args(namespace=argparse.Namespace(name="smp2019-slots"))
    files = prepare(given.out)

    def of_seed(values: dict[str, Any], seed: int, out: Path) -> Run:
        return measured({**values, "data": files}, seed, out)

    each_seed(given, of_seed, here=HERE, summary=means)


def prepare(out: Path) -> dict[str, str]:
    """Write both parts; gives their places."""
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
    places = {}
    for name, some in parts.items():
        place = out / f"{name}.jsonl"
        place.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some), encoding="utf-8")
        print(f"{name}: {len(some)} rows")
        places[name] = str(place.absolute())
    return places


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

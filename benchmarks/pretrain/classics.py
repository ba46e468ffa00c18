"""Does a small BERT from nothing, that has read four classic Chinese novels, tell requests of today better? The domains
of SMP2019's.

python benchmarks/pretrain/classics.py --seeds 1 2 3 4 5
The same model with and without pretraining: the same tokenizer, learned from the novels and the requests of train, and
the same weights to begin with; the seeds are those of fine-tuning. SMP2019's one published file is parted once and
for all, a fifth of it for test, domains under ten rows left out. What share of the characters of the requests stands in
the novels is told beside. HONE_DATA names the folder of the datasets; the recipe is classics.yaml, the result
classics.json. Some 50 minutes of one core, by an estimate.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from ways import Values, measure

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from chinese import prepare_smp2019
from rows import rows_of

BOOKS = "pretrain/chinese_classics/*.jsonl"
PART = 20_000  # characters of a document: held out are parts, not a whole novel


def prepare(out: Path, seed: int) -> Values:
    """The novels, and both parts of the requests."""
    out.mkdir(parents=True, exist_ok=True)
    prepare_smp2019(out)
    parts = {name: str((out / f"smp2019-{name}.jsonl").absolute()) for name in ("train", "test")}
    return {"corpus": {"path": BOOKS, "document": "doc", "max_characters": PART}, "validation": "none", **parts}


def shared_characters(out: Path) -> Values:
    """Which share of the characters of all requests stands in the novels, once each and as often as they stand."""
    books: set[str] = set()
    for file in Path(os.environ["HONE_DATA"]).glob(BOOKS):
        for row in rows_of(file):
            books.update(row["text"])
    counts: Counter[str] = Counter()
    for name in ("train", "test"):
        for row in rows_of(out / f"smp2019-{name}.jsonl"):
            counts.update(row["text"])
    known = {character: count for character, count in counts.items() if character in books}
    return {
        "shared_characters": {
            "different": round(len(known) / len(counts), 4),
            "occurring": round(sum(known.values()) / counts.total(), 4),
        }
    }


if __name__ == "__main__":
    measure(
        "classics",
        prepare,
        doc=__doc__ or "",
        ways=("finetune", "pretrain, finetune"),
        seeds=(1, 2, 3, 4, 5),
        says=shared_characters,
    )

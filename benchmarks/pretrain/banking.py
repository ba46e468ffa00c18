"""What does text without labels bring where labels are few? 500 requests of Banking77, the rest of them as text.

python benchmarks/pretrain/banking.py --seeds 1 2 3
Fine-tuning alone, beside pretraining on every text of train and then fine-tuning, and beside learning both together.
Each seed draws other 500 rows, one of each label at least. HONE_DATA names the folder of the datasets; the recipe is
banking.yaml, the result banking.json. Some 60 minutes of one core, by an estimate.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from ways import Values, measure, read_rows, write_rows

LABELED = 500
TEST = "intent/banking77/test.jsonl"


def prepare(out: Path, seed: int) -> Values:
    """The labeled rows of a seed, and the texts of all rows."""
    rows = read_rows("intent/banking77/train.jsonl")
    return {
        "corpus": {"path": write_rows(out / "texts.jsonl", [{"text": row["text"]} for row in rows])},
        "train": write_rows(out / f"labeled-{seed}.jsonl", drawn(rows, seed=seed)),
        "validation": "none",
        "test": TEST,
    }


def drawn(rows: Sequence[Values], *, seed: int) -> list[Values]:
    """`LABELED` rows; one of each label among them, for a label that none of them shows could not be asked for."""
    first: list[Values] = []
    others: list[Values] = []
    seen: set[str] = set()
    for row in random.Random(seed).sample(rows, len(rows)):
        (others if row["label"] in seen else first).append(row)
        seen.add(row["label"])
    return [*first, *others][:LABELED]


if __name__ == "__main__":
    measure(
        "banking",
        prepare,
        doc=__doc__ or "",
        ways=("finetune", "pretrain, finetune", "joint"),
        seeds=(1, 2, 3),
        says=lambda out: {"labeled": LABELED},
    )

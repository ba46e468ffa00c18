"""Does learning on in the text of a domain help a task of it? MiniLM, the training stories of Reuters-21578, and its 20
commonest topics from at most 20 stories each.

python benchmarks/pretrain/reuters.py --seeds 1 2
Fine-tuning alone, beside pretraining and then fine-tuning, learning both together, pretraining and then both together,
and fine-tuning before pretraining and after it. A story counts that has one topic alone; each seed draws other stories
to learn from; of test there are at most 50 a topic, the same for all. HONE_DATA names the folder of the datasets; the
recipe is reuters.yaml, the result reuters.json. Some two hours of one core, by an estimate.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ways import Values, measure, read_rows, write_rows

TOPICS, LEARNED, ASKED = 20, 20, 50  # topics, and most stories of each


def prepare(out: Path, seed: int) -> Values:
    """The labeled stories of a seed, those of test, and the text of every training story."""
    parts = {name: read_rows(f"multilabel/reuters21578/{name}.jsonl") for name in ("train", "test")}
    counts = Counter(row["labels"][0] for row in parts["train"] if len(row["labels"]) == 1)
    topics = [topic for topic, _ in counts.most_common(TOPICS)]
    return {
        "corpus": {"path": write_rows(out / "stories.jsonl", [{"text": row["text"]} for row in parts["train"]])},
        "train": write_rows(out / f"labeled-{seed}.jsonl", drawn(parts["train"], topics, most=LEARNED, seed=seed)),
        "validation": "none",
        "test": write_rows(out / "test.jsonl", drawn(parts["test"], topics, most=ASKED, seed=0)),
    }


def drawn(rows: Sequence[Values], topics: Sequence[str], *, most: int, seed: int) -> list[dict[str, Any]]:
    """At most so many stories of each topic, in a random order."""
    rng = random.Random(seed)
    found: list[dict[str, Any]] = []
    for topic in topics:
        own = [{"text": row["text"], "label": topic} for row in rows if row["labels"] == [topic]]
        found += rng.sample(own, min(most, len(own)))
    return rng.sample(found, len(found))


if __name__ == "__main__":
    measure(
        "reuters",
        prepare,
        doc=__doc__ or "",
        ways=("finetune", "pretrain, finetune", "joint", "pretrain, joint", "finetune, pretrain, finetune"),
        seeds=(1, 2),
        says=lambda out: {"topics": TOPICS, "learned_of_each": LEARNED, "asked_of_each": ASKED},
    )

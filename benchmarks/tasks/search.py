"""How well, and how fast, are texts of the same label found? Banking77's test questions look for the training questions
of their intent among 100,000 texts: by embeddings exactly and through a graph, by words, and fused.

python benchmarks/tasks/search.py BUNDLE --out runs/search
HONE_DATA names the folder of the datasets; BUNDLE does sentence-embedding (benchmarks/quality/stsb-embedding.yaml makes
one). The result goes to benchmarks/tasks/search.json, unless fewer texts or questions are tried.

recall@10: of a question, how many of its ten answers have its label, of the ten there could be. nDCG@10: the same with
earlier answers counting more. Both are means over all questions. Milliseconds are of single questions, the ways in
turn, the embedding of the question included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

import hone  # noqa: E402
from hone.cli.console import Lines  # noqa: E402
from hone.metrics.retrieval import graded_ndcg_at  # noqa: E402
from hone.predict.predictor import Predictor  # noqa: E402
from hone.retrieval.index import SearchIndex  # noqa: E402
from hone.retrieval.settings import WAYS, IndexSettings, Way  # noqa: E402

PADDING = {
    "monitoring/guardian_business/headlines.jsonl": "text",
    "monitoring/reuters21578_stream/headlines.jsonl": "text",
    "topic/ag_news/train.jsonl": "text",
    "topic/ag_news/test.jsonl": "text",
    "translation/multi30k_en_de/train.jsonl": "source",
    "sentiment/sst2/train.jsonl": "text",
    "multilabel/goemotions/train.jsonl": "text",
}  # texts of other kinds, all English
TEXTS = 100_000
K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--questions", type=int, default=None, help="so many of the questions; all when left out")
    parser.add_argument("--timed", type=int, default=200, help="questions that are timed")
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    given = parser.parse_args()
    data = Path(os.environ["HONE_DATA"])
    questions = rows_of(data / "intent/banking77/test.jsonl")[: given.questions]
    corpus = made_corpus(data, barred={row["text"] for row in questions}, count=given.texts)
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / f"corpus-{given.texts}.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in corpus), encoding="utf-8")
    began = time.perf_counter()
    folder = given.out / f"index-{given.texts}"
    made = hone.index(given.bundle, file, out=folder, settings=IndexSettings(hnsw=True), progress=Lines())
    seconds = round(time.perf_counter() - began, 1)
    index = hone.load_index(folder, bundle=given.bundle)
    labels = np.array([row.get("label", "") for row in corpus], dtype=object)
    found = {way: found_rows(index, [row["text"] for row in questions], way) for way in WAYS}
    record = {
        "texts": len(corpus),
        "questions": len(questions),
        "bundle": made.manifest.requires[0].digest,
        "index_seconds": seconds,
        "index_mb": round(sum(one.bytes for one in made.manifest.files.values()) / 1e6, 1),
        "ways": {way: quality(found[way], labels, questions) for way in WAYS},
        "hnsw_finds_of_exact": round(
            float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found["exact"], found["hnsw"], strict=True)])), 4
        ),
        "ms": timings(index, hone.load(given.bundle), [row["text"] for row in questions[: given.timed]]),
        "machine": machine(),
    }
    target = HERE if given.questions is None and given.texts == TEXTS else given.out
    (target / "search.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({name: record[name] for name in record if name != "machine"}, indent=1))


def made_corpus(data: Path, *, barred: set[str], count: int) -> list[dict[str, Any]]:
    """The training questions and other texts, each once, in the order of the files; ``count`` in all."""
    out = {
        row["text"]: {"text": row["text"], "label": row["label"]}
        for row in rows_of(data / "intent/banking77/train.jsonl")
    }
    for name, field in PADDING.items():
        for row in rows_of(data / name):
            if len(out) < count:
                out.setdefault(row[field], {"text": row[field]})
    for text in barred:
        out.pop(text, None)
    return list(out.values())[:count]


def found_rows(index: SearchIndex, questions: list[str], way: Way) -> list[list[int]]:
    return [[hit["row"] for hit in hits] for hits in index.search(questions, k=K, by=way)]


def quality(found: list[list[int]], labels: Any, questions: list[dict[str, Any]]) -> dict[str, float]:
    right = np.zeros((len(found), K), dtype=bool)
    for i, (hits, question) in enumerate(zip(found, questions, strict=True)):
        right[i, : len(hits)] = labels[hits] == question["label"]
    possible = np.array([int((labels == row["label"]).sum()) for row in questions])
    recall = right.sum(1) / np.minimum(possible, K)
    return {
        "recall_at_10": round(float(recall.mean()), 4),
        "ndcg_at_10": round(float(graded_ndcg_at(right, possible, K).mean()), 4),
    }


def timings(index: SearchIndex, predictor: Predictor, questions: list[str]) -> dict[str, Any]:
    """Of each way, and of embedding the question alone, median milliseconds of a question, and exact search's over it,
    with quartiles."""
    ways: dict[str, Callable[[str], Any]] = {way: partial(index.search, k=K, by=way) for way in WAYS}
    ways["embedding"] = predictor.predict
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for ask in ways.values():
        ask(questions[0])
    for i, question in enumerate(questions):
        for way in list(ways)[:: 1 if i % 2 else -1]:
            began = time.perf_counter()
            ways[way](question)
            taken[way].append(1e3 * (time.perf_counter() - began))
    exact = np.array(taken["exact"])
    return {
        way: {
            "median_ms": round(float(np.median(values)), 2),
            "times_as_fast_as_exact": [
                round(float(q), 2) for q in np.quantile(exact / np.array(values), (0.25, 0.5, 0.75))
            ],
        }
        for way, values in taken.items()
    }


if __name__ == "__main__":
    main()

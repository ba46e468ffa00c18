"""How far is a question answering bundle above answers that need no model? And are its offsets exact?

python benchmarks/quality/answers.py runs/quality/squad2_half-*-1/bundle [...]
HONE_DATA names the folder of the datasets. Beside F1 on the dev questions stand three answers that need no model: none
at all; the first sentence of every context; and one constant, the best for train among the words of its answers. The
result goes to benchmarks/quality/squad2_half_answers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

import hone  # noqa: E402
from hone.metrics.answers import answer_f1  # noqa: E402
from hone.text.answers import answer_words  # noqa: E402

CONSTANTS = 500  # the most frequent words of train's answers, tried one by one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+")
    given = parser.parse_args()
    folder = Path(os.environ["HONE_DATA"]) / "qa/squad2_half"
    train, dev = (rows_of(folder / f"{name}.jsonl") for name in ("train", "dev"))
    constant = best_constant(train)
    found: dict[str, Any] = {
        "questions": len(dev),
        "answerable": sum(bool(row["answers"]) for row in dev),
        "nothing": scores(dev, lambda row: ""),
        "first_sentence": scores(dev, lambda row: first_sentence(row["context"])),
        "constant": {"said": constant, **scores(dev, lambda row: constant)},
        "bundles": [measured(path, dev) for path in given.bundles],
        "machine": machine(),
    }
    (HERE / "squad2_half_answers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(found, indent=1, ensure_ascii=False))


def scores(rows: list[dict[str, Any]], answer: Callable[[dict[str, Any]], str]) -> dict[str, float]:
    """F1 over all questions, and over those that have an answer."""
    each = [f1(row, answer_words(answer(row))) for row in rows]
    there = [value for value, row in zip(each, rows, strict=True) if row["answers"]]
    return {"f1": statistics.mean(each), "f1_answerable": statistics.mean(there)}


def f1(row: dict[str, Any], said: list[str]) -> float:
    return answer_f1([answer_words(answer["text"]) for answer in row["answers"]], said)


def first_sentence(context: str) -> str:
    return re.split(r"(?<=[.!?])\s", context, maxsplit=1)[0]


def best_constant(train: list[dict[str, Any]]) -> str:
    """The word with the highest F1 over the questions of train that have an answer."""
    there = [row for row in train if row["answers"]]
    words = Counter(word for row in there for word in answer_words(row["answers"][0]["text"]))
    tried = [word for word, _ in words.most_common(CONSTANTS)]
    return max(tried, key=lambda word: sum(f1(row, [word]) for row in there))


def measured(path: Path, dev: list[dict[str, Any]]) -> dict[str, Any]:
    """F1 of a bundle, how often it answers, and how many of its answers stand in the context where it says."""
    predictions = hone.load(path).predict([{name: row[name] for name in ("context", "question")} for row in dev])
    given = [(row, said) for row, said in zip(dev, predictions, strict=True) if said["answer"]]
    exact = sum(row["context"][said["start"] : said["end"]] == said["answer"] for row, said in given)
    answers = iter(said["answer"] for said in predictions)
    return {"answered": len(given), "offsets_exact": exact, **scores(dev, lambda row: next(answers))}


if __name__ == "__main__":
    main()

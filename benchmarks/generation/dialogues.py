"""Does a small causal model from nothing tell the answers of conversations better than counting does?

python benchmarks/generation/dialogues.py crosswoz --seeds 1 --out runs/written --show 10
HONE_DATA names the folder of the datasets. The recipe NAME.yaml is trained and measured on test, read once. Beside its
perplexity of the answers' tokens stands that of a modified Kneser-Ney model (`kneser_ney.py`), which counts every token
of the same training rows, is asked for the same tokens of test, and whose order is the best for those of validation.
--show prints so many conversations of test with what was answered. The result goes to
benchmarks/generation/NAME.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from kneser_ney import Counts, KneserNey  # noqa: E402
from seeds import Run, arguments, each_seed, folder, judged_in, recipe_of, reports_of  # noqa: E402

import hone  # noqa: E402
from hone.bundle.bundle import Bundle  # noqa: E402
from hone.core.progress import Silent  # noqa: E402
from hone.data.dataset import Dataset  # noqa: E402
from hone.pipeline.run import read_data  # noqa: E402
from hone.tasks.protocol import Task  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402

ORDERS = 5
Told = list[tuple[list[int], NDArray[np.bool_]]]  # the tokens of a row, and which of them are learned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser, seeds=[1], out="runs/written")
    parser.add_argument("--show", type=int, default=0)
    given = parser.parse_args()
    for run in each_seed(given, measured, here=HERE):
        if given.show:
            print_conversations(folder(given, run["seed"], here=HERE), given.show)


def measured(values: Mapping[str, Any], seed: int, out: Path) -> Run:
    """One run of the recipe; one that was stopped goes on."""
    reports = reports_of(values, seed, out)
    trained, judged = reports["finetune"], reports["evaluate"]
    _, splits = read_data(recipe_of(values, seed=seed), Silent())
    predictor = hone.load(out / "bundle", device="cpu")
    return {
        "seed": seed,
        "bundle": Bundle.open(out / "bundle").digest,
        "train_seconds": trained["facts"]["seconds"],
        "measures": {m["name"]: [m["value"], m["low"], m["high"], m["n"]] for m in judged["measures"]},
        "variety": judged["tables"]["variety"],
        "kneser_ney": beside({name: told(predictor.task, data) for name, data in splits.items()}, predictor.task),
    }


def told(task: Task, data: Dataset) -> Told:
    """The rows that a split is learned or measured in."""
    rows = Rows(task.encode(data.slice(0, len(data)), purpose="learn"))
    found: Told = []
    for i in range(len(rows)):
        before, after = (rows.row(name, i).tolist() for name in ("input_ids", "target_ids"))
        learned = np.zeros(len(before) + len(after), dtype=bool)
        edges = rows.row("learned", i).tolist()
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            learned[len(before) + begin : len(before) + end] = True
        found.append(([*before, *after], learned))
    return found


def beside(parts: Mapping[str, Told], task: Task) -> dict[str, Any]:
    """The Kneser-Ney model of the order that tells validation best."""
    counts = Counts([ids for ids, _ in parts["train"]], vocabulary=task.tokenizer.vocab_size, order=ORDERS)
    of_order = {n: perplexity(counts.model(n), parts["validation"])[0] for n in range(1, ORDERS + 1)}
    best = min(of_order, key=lambda n: of_order[n])
    value, tokens = perplexity(counts.model(best), parts["test"])
    return {
        "counted_tokens": sum(len(ids) for ids, _ in parts["train"]),
        "learned_tokens": int(sum(learned.sum() for _, learned in parts["train"])),
        "validation_perplexity_of_order": of_order,
        "order": best,
        "test_perplexity": value,
        "test_tokens": tokens,
    }


def perplexity(model: KneserNey, rows: Told) -> tuple[float, int]:
    """Of the learned tokens, each after all before it in its row; and how many they are."""
    logs = model.log_probabilities([ids for ids, _ in rows])
    asked = np.concatenate([each[learned] for each, (_, learned) in zip(logs, rows, strict=True)])
    return float(np.exp(-asked.mean())), len(asked)


def print_conversations(out: Path, count: int) -> None:
    """The first conversations of test, each answer beside what was answered."""
    (file,) = (judged_in(out) / "stages").glob("*evaluate/predictions.jsonl")
    with file.open(encoding="utf-8") as lines:
        for line in itertools.islice(lines, count):
            row = json.loads(line)
            answers = iter(row["prediction"]["answers"])
            for turn in row["turns"]:
                print(f"{turn['role']}: {turn['text']}")
                if turn["role"] == "assistant":
                    print(f"    model: {next(answers)['text']}")
            print("-" * 40)


if __name__ == "__main__":
    main()

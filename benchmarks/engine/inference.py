"""How many texts a second, beside the transformers pipeline and the int8 engines people use, and beside the products?

python benchmarks/engine/inference.py BUNDLE INT8 --texts 218 --repeats 15
BUNDLE: text-classification with mean pooling, float32. HONE_DATA names the datasets (SST-2's dev sentences are timed).
All systems run in one process, in alternation, tokenization included; each peer at the better of two batch sizes,
chosen in a warm-up. The floor: the float32 matrix products of the same tokens and layers, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from machine import machine  # noqa: E402
from peers import peers  # noqa: E402
from rows import rows_of  # noqa: E402

from hone.bench.systems import Pipeline  # noqa: E402
from hone.bundle.bundle import Bundle  # noqa: E402
from hone.predict.predictor import Predictor, open_bundle  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402

TEXTS = "sentiment/sst2/dev.jsonl"
BATCHES = (32, 128)
SINGLES = 120
TURN = 12  # single texts of a system before the next has its turn
FLOOR_TOKENS = 1024  # of each product of the floor
PATIENCE = 60.0  # seconds for all texts; a system that needs more is named and left out
Work = Callable[[Sequence[str]], object]


def floor(hone: Predictor, texts: Sequence[str]) -> Work:
    """The matrix products of the layers, in batches large enough for their best rate."""
    rows = Rows(hone.task.encode({"text": list(texts)}, purpose="predict"))
    tokens, config = int(rows.lengths.sum()), hone.engine.model.backbone.config
    width, inner = config.hidden_size, config.intermediate_size
    shapes = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    weights = [torch.randn(b, a) for a, b in shapes for _ in range(config.num_hidden_layers)]
    inputs = {a: torch.randn(FLOOR_TOKENS, a) for a in (width, inner)}

    def work(_: Sequence[str]) -> None:
        with torch.inference_mode():
            for at in range(0, tokens, FLOOR_TOKENS):
                n = min(FLOOR_TOKENS, tokens - at)
                for weight in weights:
                    torch.nn.functional.linear(inputs[weight.shape[1]][:n], weight)

    return work


def better(
    name: str, answer: Callable[[Sequence[str], int], object], batches: Sequence[int], texts: Sequence[str]
) -> Work | None:
    """A system at the batch size at which it is soonest done, after a warm-up; None for one so slow that the rest would
    wait for it."""
    for _ in range(2):  # the first compiles
        began = time.perf_counter()
        answer(texts[:64], 32)
        few = time.perf_counter() - began
    if few * len(texts) / 64 > PATIENCE:
        print(name, f"takes {few:.1f} s for 64 texts and is left out", flush=True)
        return None
    taken = {}
    for batch in batches:
        answer(texts, batch)
        began = time.perf_counter()
        answer(texts, batch)
        taken[batch] = time.perf_counter() - began
    best = min(taken, key=lambda batch: taken[batch])
    print(name, {batch: round(seconds, 2) for batch, seconds in taken.items()}, flush=True)
    return lambda texts: answer(texts, best)


def timed(systems: dict[str, Work], texts: Sequence[str], *, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for repeat in range(repeats):
        for name in systems if repeat % 2 == 0 else reversed(list(systems)):
            began = time.perf_counter()
            systems[name](texts)
            seconds[name].append(time.perf_counter() - began)
        print({name: round(each[-1], 2) for name, each in seconds.items()}, flush=True)
    return seconds


def alone(systems: dict[str, Work], texts: Sequence[str]) -> dict[str, float]:
    """Median milliseconds of one text, some texts of a system before the next: a service runs one, and the threads of
    the one before are still waiting busily during the first of them, which does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for at in range(0, len(texts), TURN):
        for name, work in systems.items():
            for i, text in enumerate([texts[at], *texts[at : at + TURN]]):
                began = time.perf_counter()
                work([text])
                if i:
                    seconds[name].append(time.perf_counter() - began)
    return {name: 1e3 * statistics.median(each) for name, each in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("int8", type=Path, help="what `hone compress --method int8` made of it")
    parser.add_argument("--texts", type=int, default=218)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    transformers.logging.set_verbosity_error()
    rows = rows_of(Path(os.environ["HONE_DATA"]) / TEXTS)
    texts = [row["text"] for row in rows[:: max(1, len(rows) // given.texts)][: given.texts]]
    bundle = Bundle.open(given.bundle)
    ours, small = open_bundle(bundle), open_bundle(Bundle.open(given.int8))
    pipeline = Pipeline(open_bundle(bundle))
    with tempfile.TemporaryDirectory() as folder:
        systems: dict[str, Work] = {"hone": ours.predict, "hone_int8": small.predict, "floor": floor(ours, texts)}
        for work in systems.values():
            work(texts)
        made: dict[str, Work | None] = {
            "pipeline": better("pipeline", lambda t, b: pipeline.answer(t, batch=b), (1, 8, *BATCHES), texts)
        }
        for name, make in peers(bundle, Path(folder)).items():
            made[name] = better(name, make(), BATCHES, texts)
        left_out = [name for name, work in made.items() if work is None]
        systems |= {name: work for name, work in made.items() if work is not None}
        seconds = timed(systems, texts, repeats=given.repeats)
        del systems["floor"]
        singles = alone(systems, texts[:SINGLES])
    record = {
        "texts": len(texts), "left_out": left_out, "repeats": given.repeats, "machine": machine(), "seconds": seconds,
        "texts_per_s": {name: round(len(texts) / statistics.median(each), 1) for name, each in seconds.items()},
        "hone_over": {name: _ratio(each, seconds["hone"]) for name, each in seconds.items()},
        "hone_int8_over": {name: _ratio(each, seconds["hone_int8"]) for name, each in seconds.items()},
        "p50_ms": {name: round(value, 2) for name, value in singles.items()},
        "int8_agreement": _agreement(ours, small),
    }  # fmt: skip
    print(json.dumps({name: record[name] for name in record if name not in ("seconds", "machine")}, indent=1))
    (HERE / "inference.json").write_text(json.dumps(record, indent=1) + "\n")


def _ratio(other: Sequence[float], ours: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(other, ours, strict=True)), 3)


def _agreement(one: Predictor, other: Predictor) -> float:
    """Share of Banking77's test texts with the same label, where the bundle has its labels; else of SST-2's."""
    path = "intent/banking77/test.jsonl" if len(one.task.labels) == 77 else TEXTS
    texts = [row["text"] for row in rows_of(Path(os.environ["HONE_DATA"]) / path)]
    said = [[answer["label"] for answer in each.predict(texts)] for each in (one, other)]
    return float(np.mean([a == b for a, b in zip(*said, strict=True)]))


if __name__ == "__main__":
    main()

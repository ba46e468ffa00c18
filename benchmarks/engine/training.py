"""How much sooner does hone fine-tune than what people use today? Same base, rows, batch size, dropout and optimizer.

python benchmarks/engine/training.py --rows 640 --repeats 5
Alternates the systems in one process and writes benchmarks/engine/training.json. HONE_DATA names the datasets.
trainer_grouped: transformers Trainer, train_sampling_strategy="group_by_length"; trainer: as it comes, random batches;
padded_loop: the loop of the tutorials, every text padded to 128 tokens; products: the floor.
All: batch 32, max length 256, float32, AdamW.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "finetune")]

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402
from speed import BATCH, MAX_LENGTH, RATE, SETS, with_hone, with_trainer  # noqa: E402

from hone.models.base import resolve_base  # noqa: E402

PADDED = 128
Rows = list[dict[str, str]]
System = Callable[[Rows, Path], tuple[float, float]]


def padded_loop(rows: Rows, folder: Path) -> tuple[float, float]:
    """Seconds of one epoch of the loop that tutorials show, and its mean loss."""
    base = resolve_base("minilm").folder
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    labels = sorted({str(row["label"]) for row in rows})
    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(labels))
    encoded = tokenizer(
        [row["text"] for row in rows], truncation=True, padding="max_length", max_length=PADDED, return_tensors="pt"
    )
    gold = torch.tensor([labels.index(str(row["label"])) for row in rows])
    data = torch.utils.data.TensorDataset(encoded["input_ids"], encoded["attention_mask"], gold)
    batches = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    model.train()
    losses = []
    began = time.perf_counter()
    for ids, mask, wanted in batches:
        loss = model(input_ids=ids, attention_mask=mask, labels=wanted).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return time.perf_counter() - began, statistics.mean(losses)


def products(rows: Rows, folder: Path) -> tuple[float, float]:
    """Seconds of an epoch's matrix products alone, forward, for the inputs and for the weights, of the layers over as
    many tokens as the texts have: the floor of any loop in float32. (No loss: 0.)"""
    config = transformers.AutoConfig.from_pretrained(resolve_base("minilm").folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(resolve_base("minilm").folder)
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    lengths = sorted(
        map(len, tokenizer([row["text"] for row in rows], truncation=True, max_length=MAX_LENGTH)["input_ids"])
    )
    shapes = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    weights = {(i, o): torch.randn(o, i) for i, o in [*shapes, (width, 2 * width)]}
    seconds = 0.0
    for at in range(0, len(lengths), BATCH):
        n, first = sum(lengths[at : at + BATCH]), len(lengths[at : at + BATCH])
        # the last layer makes the first token of each text alone, of keys and values all
        last = [(n, (width, 2 * width)), *((first, shape) for shape in [(width, width), *shapes[1:]])]
        each = [(n, shape) for shape in shapes] * (layers - 1) + last
        inputs = {(m, size): torch.randn(m, size) for m, shape in each for size in shape}
        began = time.perf_counter()
        for m, (i, o) in each:
            given, found = inputs[m, i], inputs[m, o]
            torch.mm(given, weights[i, o].t())
            torch.mm(found, weights[i, o])
            torch.mm(found.t(), given)
        seconds += time.perf_counter() - began
    return seconds, 0.0


SYSTEMS: dict[str, System] = {
    "hone": with_hone,
    "trainer_grouped": with_trainer,
    "trainer": partial(with_trainer, sampling="random"),
    "padded_loop": padded_loop,
    "products": products,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    transformers.logging.set_verbosity_error()
    record: dict[str, object] = {"rows": given.rows, "repeats": given.repeats, "machine": machine()}
    for name, path in SETS.items():
        rows = rows_of(Path(os.environ["HONE_DATA"]) / path)
        rows = rows[:: max(1, len(rows) // given.rows)][: given.rows]
        seconds: dict[str, list[float]] = {system: [] for system in SYSTEMS}
        for repeat in range(given.repeats + 1):
            for system, work in SYSTEMS.items():
                with tempfile.TemporaryDirectory() as folder:
                    taken, loss = work(rows if repeat else rows[: BATCH * 4], Path(folder))
                if repeat:  # the first, short, is the warm-up
                    seconds[system].append(taken)
                    print(name, system, round(taken, 2), round(loss, 4), flush=True)
        ratios = {
            system: [other / ours for ours, other in zip(seconds["hone"], taken, strict=True)]
            for system, taken in seconds.items()
        }
        medians = {system: round(statistics.median(each), 3) for system, each in ratios.items()}
        record[name] = {"seconds": seconds, "ratios": ratios, "ratio_median": medians}
        print(name, "hone is so many times as fast:", medians, flush=True)
    (HERE / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

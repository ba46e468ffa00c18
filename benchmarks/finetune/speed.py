"""Does hone fine-tune at least as fast as transformers Trainer? Same base, rows, epochs, batch, dropout and optimizer.

python benchmarks/finetune/speed.py --rows 4000 --repeats 5
Alternates hone and Trainer in one process and writes benchmarks/finetune/speed.json. HONE_DATA names the datasets.
Trainer: batch 32, train_sampling_strategy="group_by_length", float32, no checkpoints, no logging, fused AdamW.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

from hone.bundle.stage import Inputs, Run, TaskChoice  # noqa: E402
from hone.data.dataset import Dataset  # noqa: E402
from hone.models.base import resolve_base  # noqa: E402
from hone.tasks.settings import TextClassificationSettings  # noqa: E402
from hone.train.settings import FINETUNE, FinetuneSettings  # noqa: E402

RATE, BATCH, MAX_LENGTH = 3e-4, 32, 256
SETS = {"banking77": "intent/banking77/train.jsonl", "sst2": "sentiment/sst2/train_sentences.jsonl"}


def with_hone(rows: list[dict[str, str]], folder: Path) -> tuple[float, float]:
    """Seconds of the training loop, and its last loss."""
    data = Dataset.from_columns("train", {k: [str(row[k]) for row in rows] for k in ("text", "label")})
    settings = FinetuneSettings(
        num_train_epochs=1.0, learning_rate=RATE, per_device_train_batch_size=BATCH, eval_strategy="no",
        keep="last", save_steps=None, warmup_ratio=0.0, weight_decay=0.0, logging_steps=10**6,
    )  # fmt: skip
    task = TaskChoice("text-classification", TextClassificationSettings(pooling="cls", max_length=MAX_LENGTH))
    outcome = FINETUNE.run(
        settings,
        Inputs(task=task, base=resolve_base("minilm"), data={"train": data}),
        Run(seed=1, device="cpu", folder=folder / "run", target=folder / "bundle", cache=folder / "cache"),
    )
    log = rows_of(folder / "run" / "log.jsonl")
    return float(outcome.report.facts["seconds"] or 0), float(log[-1]["loss"])


def with_trainer(rows: list[dict[str, str]], folder: Path, *, sampling: str = "group_by_length") -> tuple[float, float]:
    """Seconds of Trainer.train(), and its mean loss."""
    base = resolve_base("minilm").folder
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    labels = sorted({str(row["label"]) for row in rows})
    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(labels))
    encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=MAX_LENGTH)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": labels.index(str(row["label"]))}
        for ids, mask, row in zip(encoded["input_ids"], encoded["attention_mask"], rows, strict=True)
    ]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, learning_rate=RATE, per_device_train_batch_size=BATCH,
        train_sampling_strategy=sampling, save_strategy="no", logging_strategy="no", report_to="none",
        use_cpu=True, disable_tqdm=True, seed=1, max_grad_norm=1.0,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=data,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    began = time.perf_counter()
    result = trainer.train()
    return time.perf_counter() - began, float(result.training_loss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    transformers.logging.set_verbosity_error()
    systems = {"hone": with_hone, "trainer": with_trainer}
    record: dict[str, object] = {"rows": given.rows, "repeats": given.repeats, "machine": machine()}
    for name, path in SETS.items():
        rows = rows_of(Path(os.environ["HONE_DATA"]) / path)[: given.rows]
        for work in systems.values():
            with tempfile.TemporaryDirectory() as folder:
                work(rows[: BATCH * 8], Path(folder))  # warm-up
        seconds: dict[str, list[float]] = {system: [] for system in systems}
        for _ in range(given.repeats):
            for system, work in systems.items():
                with tempfile.TemporaryDirectory() as folder:
                    taken, loss = work(rows, Path(folder))
                seconds[system].append(taken)
                print(name, system, round(taken, 2), round(loss, 4), flush=True)
        ratios = [t / h for h, t in zip(seconds["hone"], seconds["trainer"], strict=True)]
        record[name] = {"seconds": seconds, "ratio_median": statistics.median(ratios), "ratios": ratios}
        print(name, "hone is", round(statistics.median(ratios), 3), "x Trainer", flush=True)
    (HERE / "speed.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

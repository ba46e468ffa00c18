"""How much sooner does hone fine-tune a BERT-base on a GPU than transformers Trainer? Same weights, rows, batch size,
dropout and optimizer, both in bf16.

python benchmarks/engine/gpu.py --rows 2000 --repeats 5
Alternates three systems in one process and writes benchmarks/engine/gpu.json. HONE_DATA names the datasets. The base is
BERT-base by its configuration (12 layers, width 768), newly initialized, which no speed depends on, with MiniLM's
tokenizer. trainer_grouped: Trainer, train_sampling_strategy="group_by_length"; trainer: as it comes, random batches.
All: batch 32, max length 512, bf16 by autocast, SDPA, fused AdamW. Ends with code 2 where there is no CUDA device.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
from functools import partial
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
from hone.models.packed import installed_kernel  # noqa: E402
from hone.tasks.settings import TextClassificationSettings  # noqa: E402
from hone.train.settings import FINETUNE, FinetuneSettings  # noqa: E402

RATE, BATCH, MAX_LENGTH = 2e-5, 32, 512
SETS = {"imdb": "sentiment/imdb/train.jsonl", "sst2": "sentiment/sst2/train_sentences.jsonl"}
NO_DEVICE = 2
Rows = list[dict[str, str]]


def write_base(folder: Path) -> Path:
    """BERT-base with random weights and MiniLM's tokenizer, which is BERT's, in ``folder``."""
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig()).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(resolve_base("minilm").folder).save_pretrained(folder)
    return folder


def with_hone(rows: Rows, base: Path, folder: Path) -> tuple[float, float]:
    """Seconds of the training loop, and its last loss."""
    data = Dataset.from_columns("train", {k: [str(row[k]) for row in rows] for k in ("text", "label")})
    settings = FinetuneSettings(
        num_train_epochs=1.0, learning_rate=RATE, per_device_train_batch_size=BATCH, eval_strategy="no", keep="last",
        save_steps=None, warmup_ratio=0.0, weight_decay=0.0, logging_steps=10**6, mixed_precision="bf16",
    )  # fmt: skip
    task = TaskChoice("text-classification", TextClassificationSettings(pooling="cls", max_length=MAX_LENGTH))
    FINETUNE.run(
        settings,
        Inputs(task=task, base=resolve_base(str(base)), data={"train": data}),
        Run(seed=1, device="cuda", folder=folder / "run", target=folder / "bundle", cache=folder / "cache"),
    )
    last = rows_of(folder / "run" / "log.jsonl")[-1]
    return last["seconds"], last["loss"]


def with_trainer(rows: Rows, base: Path, folder: Path, *, sampling: str) -> tuple[float, float]:
    """Seconds of Trainer.train() as it tells them, and its mean loss."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    labels = sorted({str(row["label"]) for row in rows})
    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=len(labels), attn_implementation="sdpa"
    )
    encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=MAX_LENGTH)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": labels.index(str(row["label"]))}
        for ids, mask, row in zip(encoded["input_ids"], encoded["attention_mask"], rows, strict=True)
    ]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, learning_rate=RATE, per_device_train_batch_size=BATCH, bf16=True,
        optim="adamw_torch_fused", train_sampling_strategy=sampling, save_strategy="no", logging_strategy="no",
        report_to="none", disable_tqdm=True, seed=1, max_grad_norm=1.0,
    )  # fmt: skip
    collate = transformers.DataCollatorWithPadding(tokenizer)
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate)
    result = trainer.train()
    return float(result.metrics["train_runtime"]), float(result.training_loss)


SYSTEMS = {
    "hone": with_hone,
    "trainer_grouped": partial(with_trainer, sampling="group_by_length"),
    "trainer": partial(with_trainer, sampling="random"),
}


def measured(name: str, rows: Rows, base: Path, *, repeats: int) -> dict[str, object]:
    """Seconds and most GPU memory of each system, turn by turn, and how many times as fast hone is."""
    seconds: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    peak_bytes: dict[str, list[int]] = {system: [] for system in SYSTEMS}
    for repeat in range(repeats + 1):
        for system, work in SYSTEMS.items():
            gc.collect()  # a trainer holds itself in circles: what it left would count as the next one's
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            with tempfile.TemporaryDirectory() as folder:
                taken, loss = work(rows if repeat else rows[: BATCH * 8], base, Path(folder))
            if repeat:  # the first, short, is the warm-up
                seconds[system].append(taken)
                peak_bytes[system].append(torch.cuda.max_memory_allocated())
                print(name, system, round(taken, 2), round(loss, 4), flush=True)
    ratios = {
        system: [other / ours for ours, other in zip(seconds["hone"], taken, strict=True)]
        for system, taken in seconds.items()
    }
    medians = {system: round(statistics.median(each), 3) for system, each in ratios.items()}
    print(name, "hone is so many times as fast:", medians, flush=True)
    return {"seconds": seconds, "peak_bytes": peak_bytes, "ratios": ratios, "ratio_median": medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no CUDA device here: nothing was timed, nothing was written", file=sys.stderr)
        sys.exit(NO_DEVICE)
    transformers.logging.set_verbosity_error()
    kernel = installed_kernel(torch.device("cuda", torch.cuda.current_device()))
    print("hone's kernel for packed rows:", kernel or "none, rows are padded", flush=True)
    record: dict[str, object] = {
        "rows": given.rows, "repeats": given.repeats, "kernel": kernel, "machine": machine(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as base:
        write_base(Path(base))
        for name, path in SETS.items():
            rows = rows_of(Path(os.environ["HONE_DATA"]) / path)
            rows = rows[:: max(1, len(rows) // given.rows)][: given.rows]
            record[name] = measured(name, rows, Path(base), repeats=given.repeats)
    (HERE / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How long until a model is as good as transformers Trainer makes it in five epochs? From process start to bundle.

python benchmarks/engine/time_to_accuracy.py --seeds 1 2 3
HONE_DATA names the datasets. hone runs `fast.yaml`, Trainer its usual settings (batch 32, 3e-4, group_by_length, max
length 256, no checkpoints, no logging), each in a process of its own, one after the other. Accuracy is of the test
split, read once a run, outside the time. Writes benchmarks/engine/time_to_accuracy.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "finetune")]

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

TRAIN, TEST = "intent/banking77/train.jsonl", "intent/banking77/test.jsonl"
EPOCHS = 5


def timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def with_hone(seed: int, folder: Path) -> tuple[float, float]:
    """Seconds and accuracy of `hone run`; nothing is cached from an earlier run."""
    recipe = folder / "recipe.yaml"
    data = Path(os.environ["HONE_DATA"])
    text = (HERE / "fast.yaml").read_text().replace(TRAIN, str(data / TRAIN))
    recipe.write_text(text)
    os.environ["HONE_CACHE"] = str(folder / "cache")
    seconds = timed([sys.executable, "-m", "hone", "run", str(recipe), f"seed={seed}", "--out", str(folder / "run")])
    import hone

    test = rows_of(Path(os.environ["HONE_DATA"]) / TEST)
    said = hone.load(folder / "run" / "bundle").predict([row["text"] for row in test])
    right = sum(answer["label"] == row["label"] for answer, row in zip(said, test, strict=True))
    return seconds, right / len(test)


def with_trainer(seed: int, folder: Path) -> tuple[float, float]:
    """The same of Trainer, in a process that trains, writes the model and ends."""
    seconds = timed([sys.executable, __file__, "--train-into", str(folder / "model"), "--seeds", str(seed)])
    test, labels = (
        rows_of(Path(os.environ["HONE_DATA"]) / TEST),
        sorted({row["label"] for row in rows_of(Path(os.environ["HONE_DATA"]) / TRAIN)}),
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    right = 0
    for at in range(0, len(test), 64):
        part = test[at : at + 64]
        with torch.inference_mode():
            scores = model(**tokenizer([row["text"] for row in part], padding=True, return_tensors="pt")).logits
        right += sum(labels[k] == row["label"] for k, row in zip(scores.argmax(1).tolist(), part, strict=True))
    return seconds, right / len(test)


def train_into(folder: Path, *, seed: int) -> None:
    """What the Trainer process does."""
    from hone.models.base import resolve_base

    transformers.set_seed(seed)
    base, rows = resolve_base("minilm").folder, rows_of(Path(os.environ["HONE_DATA"]) / TRAIN)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    labels = sorted({row["label"] for row in rows})
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(labels))
    encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=256)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": labels.index(row["label"])}
        for ids, mask, row in zip(encoded["input_ids"], encoded["attention_mask"], rows, strict=True)
    ]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=EPOCHS, learning_rate=3e-4, per_device_train_batch_size=32,
        train_sampling_strategy="group_by_length", save_strategy="no", logging_strategy="no", report_to="none",
        use_cpu=True, disable_tqdm=True, seed=seed,
    )  # fmt: skip
    collate = transformers.DataCollatorWithPadding(tokenizer)
    transformers.Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate).train()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--trainer-runs", type=int, default=1, help="of these seeds Trainer runs the first so many")
    parser.add_argument("--train-into", type=Path)
    given = parser.parse_args()
    if given.train_into is not None:
        train_into(given.train_into, seed=given.seeds[0])
        return
    runs: dict[str, list[dict[str, float]]] = {"hone": [], "trainer": []}
    for i, seed in enumerate(given.seeds):
        for name, work in (("hone", with_hone), ("trainer", with_trainer)):
            if name == "trainer" and i >= given.trainer_runs:
                continue
            with tempfile.TemporaryDirectory() as folder:
                seconds, accuracy = work(seed, Path(folder))
            runs[name].append({"seed": seed, "seconds": round(seconds, 1), "accuracy": round(accuracy, 4)})
            print(name, runs[name][-1], flush=True)
    medians = {name: statistics.median(run["seconds"] for run in each) for name, each in runs.items()}
    record = {
        "runs": runs, "median_seconds": medians, "share_of_trainer": round(medians["hone"] / medians["trainer"], 3),
        "median_accuracy": {n: statistics.median(run["accuracy"] for run in each) for n, each in runs.items()},
        "machine": machine(),
    }  # fmt: skip
    print({name: value for name, value in record.items() if name not in ("runs", "machine")})
    (HERE / "time_to_accuracy.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

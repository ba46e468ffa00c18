"""How much sooner does hone learn a masked language model than transformers' Trainer? Same weights, same rows, same
batch, dropout and optimizer.

python benchmarks/pretrain/speed.py --rows 640 --repeats 5
Alternates the systems in one process and writes benchmarks/pretrain/speed.json. HONE_DATA names the datasets. All read
the very same rows of the novels: blocks, a book cut into pieces of 128 tokens, of which no row has padding; lines, a
paragraph a row, of any length up to 128.
trainer: DataCollatorForLanguageModeling, batches as they come; trainer_grouped: train_sampling_strategy=
"group_by_length", which for blocks is the same.
All: MiniLM with a head tied to its embeddings, 32 rows a step, 15% of the tokens masked, dropout 0.1, fused AdamW,
gradient norm 1, float32. Ratios are of wall time, and of processor time, which does not see what else a machine does.
--kinds measures one of both; the other stays as the file has it, where that was measured likewise on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import begun, machine  # noqa: E402
from rows import rows_of  # noqa: E402

from hone.bundle.stage import CORPUS, NO_TASK, Inputs, Run  # noqa: E402
from hone.core.progress import Silent  # noqa: E402
from hone.data.corpus.corpus import open_corpus  # noqa: E402
from hone.data.corpus.settings import CorpusSettings  # noqa: E402
from hone.models.base import resolve_base  # noqa: E402
from hone.models.tokenizer import load_tokenizer  # noqa: E402
from hone.tasks.objectives.documents import Documents  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402
from hone.train.pretrain_settings import PRETRAIN, PretrainSettings  # noqa: E402

RATE, BATCH, MAX_LENGTH, WARM_UP = 5e-4, 32, 128, 2
NOVELS = "pretrain/english_novels/train.jsonl"
Taken = dict[str, float]  # seconds of wall and of processor time, and the loss


class Clock(Silent):
    """How much processor time the training loop takes."""

    began = cpu_seconds = 0.0

    def begin(self, what: str, *, total: int, unit: str) -> None:
        if what == "training":
            self.began = time.process_time()

    def finish(self) -> None:
        self.cpu_seconds = time.process_time() - self.began


def texts(kind: str, *, rows: int) -> list[str]:
    """Documents of about so many rows: one book after another, or paragraphs."""
    paragraphs = [row["text"] for row in rows_of(Path(os.environ["HONE_DATA"]) / NOVELS)]
    if kind == "lines":
        return paragraphs[:: max(1, len(paragraphs) // rows)][:rows]
    tokenizer, room = load_tokenizer(resolve_base("minilm").folder), MAX_LENGTH - 2
    book = "\n".join(paragraphs)[: rows * room * 8]  # more than a token has on average
    places = tokenizer.encode_pieces([book])[0].places
    return [book[: places[rows * room][0]].rstrip()] if rows * room < len(places) else [book]


def inputs_of(documents: list[str], base: str, folder: Path) -> Inputs:
    """What ``pretrain`` is given of these documents."""
    file = folder / "corpus.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    settings = CorpusSettings(path=str(file), duplicates="keep", max_characters=10**9)
    corpus = open_corpus(settings, base=folder, cache=folder / "cache")
    return Inputs(NO_TASK, resolve_base(base), {CORPUS: corpus.rows}, corpus=corpus)


def with_hone(documents: list[str], folder: Path) -> Taken:
    """What the training loop takes, and its mean loss."""
    settings = PretrainSettings(
        num_train_epochs=1.0, learning_rate=RATE, per_device_train_batch_size=BATCH, per_device_train_batch_tokens=None,
        max_length=MAX_LENGTH, adam_beta2=0.999, weight_decay=0.0, warmup_ratio=0.0, eval_strategy="no",
        save_steps=None, logging_steps=10**6, dropout=0.1,
    )  # fmt: skip
    clock = Clock()
    PRETRAIN.run(
        settings,
        inputs_of(documents, "minilm", folder),
        Run(1, "cpu", folder / "run", folder / "bundle", folder / "cache", progress=clock),
    )
    last = rows_of(folder / "run" / "log.jsonl")[-1]
    return {"seconds": float(last["seconds"]), "cpu_seconds": clock.cpu_seconds, "loss": float(last["loss"])}


def with_trainer(documents: list[str], folder: Path, *, sampling: str = "random") -> Taken:
    """What Trainer.train() takes, and its mean loss."""
    base = resolve_base("minilm").folder
    read = Documents(load_tokenizer(base), max_tokens=MAX_LENGTH)
    rows = Rows(read.encode({"text": documents}, purpose="learn"))
    data = [{"input_ids": read.framed_text(rows.row("input_ids", i).tolist())} for i in range(len(rows))]
    torch.manual_seed(1)
    model = transformers.AutoModelForMaskedLM.from_pretrained(
        base, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, learning_rate=RATE, per_device_train_batch_size=BATCH,
        train_sampling_strategy=sampling, save_strategy="no", logging_strategy="no", report_to="none",
        use_cpu=True, disable_tqdm=True, log_level="error", seed=1, max_grad_norm=1.0, optim="adamw_torch_fused",
    )  # fmt: skip
    collate = transformers.DataCollatorForLanguageModeling(
        transformers.AutoTokenizer.from_pretrained(base), mlm_probability=0.15
    )
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate)
    began = time.process_time()
    result = trainer.train()
    cpu_seconds = time.process_time() - began
    return {
        "seconds": float(result.metrics["train_runtime"]),
        "cpu_seconds": cpu_seconds,
        "loss": float(result.training_loss),
    }


SYSTEMS = {
    "hone": with_hone,
    "trainer": with_trainer,
    "trainer_grouped": partial(with_trainer, sampling="group_by_length"),
}
KINDS = {"blocks": ("hone", "trainer"), "lines": tuple(SYSTEMS)}


def measured(kind: str, *, rows: int, repeats: int) -> dict[str, object]:
    """What each system takes, turn by turn, and how many times as fast hone is."""
    runs: dict[str, list[Taken]] = {system: [] for system in KINDS[kind]}
    for repeat in range(repeats + 1):
        documents = texts(kind, rows=rows if repeat else BATCH * WARM_UP)
        for system, own in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                taken = SYSTEMS[system](documents, Path(folder))
            if repeat:  # the first, short, is the warm-up
                own.append(taken)
                print(kind, system, {name: round(value, 3) for name, value in taken.items()}, flush=True)
    found: dict[str, object] = {"runs": runs}
    for of in ("seconds", "cpu_seconds"):
        ratios = {
            system: [other[of] / ours[of] for ours, other in zip(runs["hone"], own, strict=True)]
            for system, own in runs.items()
        }
        medians = {system: round(statistics.median(each), 3) for system, each in ratios.items()}
        found |= {f"ratios_of_{of}": ratios, f"ratio_of_{of}_median": medians}
        print(kind, f"hone is so many times as fast by {of}:", medians, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    transformers.logging.set_verbosity_error()
    file = HERE / "speed.json"
    told = {"rows": given.rows, "repeats": given.repeats, "threads": torch.get_num_threads(), "machine": machine()}
    record = begun(file, told)
    for kind in given.kinds:
        record[kind] = measured(kind, rows=given.rows, repeats=given.repeats)
        file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How fast does hone learn a masked language model of BERT-base on a GPU, beside transformers' Trainer? Tokens a second
at length 512, and what share of the device's products that is.

python benchmarks/pretrain/gpu.py --rows 1024 --epochs 6 --repeats 5
Alternates both in one process and writes benchmarks/pretrain/gpu.json. HONE_DATA names the datasets. The base is
BERT-base by its configuration (12 layers, width 768), newly initialized, with MiniLM's tokenizer, which is BERT's; the
rows are a book cut into pieces of 512 tokens, the same for both, of which none has padding. Batch 32, 15% of the tokens
masked, dropout 0.1, bf16 by autocast, SDPA, fused AdamW. Seconds are those of the training, as each system tells them
itself; some epochs of it, beside which what begins and ends it is short. mfu: 6 floating-point operations a token for
each weight of the layers and 12 a token, layer and width for each token of attention (Chowdhery et al. 2022), and those
of the head where tokens are masked, over those of a large product of bf16 matrices on this device; the same count for
both, so that scores which nobody asks for are no use made of the device.
Ends with code 2 where there is no CUDA device; --tiny runs a tiny model on the CPU, prints, and writes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import transformers

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402
from speed import inputs_of, texts  # noqa: E402

from hone.bundle.stage import Run  # noqa: E402
from hone.models.base import resolve_base  # noqa: E402
from hone.models.packed import installed_kernel  # noqa: E402
from hone.models.tokenizer import load_tokenizer  # noqa: E402
from hone.tasks.objectives.documents import Documents  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402
from hone.train.pretrain_settings import PRETRAIN, PretrainSettings  # noqa: E402

RATE, MASKED, NO_DEVICE = 1e-4, 0.15, 2
PRODUCT = {"cuda": 8192, "cpu": 512}  # rows and columns of the matrices whose product the device is measured by


@dataclass(frozen=True)
class Setting:
    """What both learn.

    Attributes:
        tokens: Of a row, special ones included.
    """

    config: transformers.BertConfig
    device: Literal["cuda", "cpu"]
    batch: int
    tokens: int
    epochs: int

    @property
    def precision(self) -> Literal["bf16", "no"]:
        return "bf16" if self.device == "cuda" else "no"

    @property
    def flops_a_token(self) -> float:
        """Of a forward and a backward pass; see the module's docstring."""
        c = self.config
        layer = 4 * c.hidden_size**2 + 2 * c.hidden_size * c.intermediate_size
        head = MASKED * (c.hidden_size**2 + c.hidden_size * c.vocab_size)
        return 6.0 * (c.num_hidden_layers * layer + head) + 12.0 * c.num_hidden_layers * c.hidden_size * self.tokens


FULL = Setting(transformers.BertConfig(), "cuda", 32, 512, 6)
TINY = Setting(
    transformers.BertConfig(num_hidden_layers=2, hidden_size=64, num_attention_heads=2, intermediate_size=128),
    "cpu", 4, 128, 2,
)  # fmt: skip


def write_base(setting: Setting, folder: Path) -> None:
    """Random weights and MiniLM's tokenizer in ``folder``."""
    torch.manual_seed(0)
    transformers.BertForMaskedLM(setting.config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(resolve_base("minilm").folder).save_pretrained(folder)


def with_hone(setting: Setting, documents: list[str], base: Path, folder: Path) -> float:
    """Seconds of the training loop."""
    settings = PretrainSettings(
        num_train_epochs=setting.epochs, learning_rate=RATE, per_device_train_batch_size=setting.batch,
        per_device_train_batch_tokens=None, max_length=setting.tokens, adam_beta2=0.999, weight_decay=0.0,
        warmup_ratio=0.0, eval_strategy="no", save_steps=None, logging_steps=10**6, dropout=0.1,
        mixed_precision=setting.precision,
    )  # fmt: skip
    PRETRAIN.run(
        settings,
        inputs_of(documents, str(base), folder),
        Run(1, setting.device, folder / "run", folder / "bundle", folder / "cache"),
    )
    return float(rows_of(folder / "run" / "log.jsonl")[-1]["seconds"])


def with_trainer(setting: Setting, documents: list[str], base: Path, folder: Path) -> float:
    """Seconds of Trainer.train() as it tells them."""
    data = [{"input_ids": ids} for ids in pieces(setting, documents)]
    torch.manual_seed(1)
    model = transformers.AutoModelForMaskedLM.from_pretrained(base, attn_implementation="sdpa")
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=setting.epochs, learning_rate=RATE,
        per_device_train_batch_size=setting.batch, bf16=setting.precision == "bf16",
        use_cpu=setting.device == "cpu", optim="adamw_torch_fused", save_strategy="no", logging_strategy="no",
        report_to="none", disable_tqdm=True, log_level="error", seed=1, max_grad_norm=1.0,
    )  # fmt: skip
    collate = transformers.DataCollatorForLanguageModeling(
        transformers.AutoTokenizer.from_pretrained(base), mlm_probability=MASKED
    )
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, data_collator=collate)
    return float(trainer.train().metrics["train_runtime"])


SYSTEMS = {"hone": with_hone, "trainer": with_trainer}


def pieces(setting: Setting, documents: list[str]) -> list[list[int]]:
    """The rows that both read, special tokens included."""
    read = Documents(load_tokenizer(resolve_base("minilm").folder), max_tokens=setting.tokens)
    rows = Rows(read.encode({"text": documents}, purpose="learn"))
    return [read.framed_text(rows.row("input_ids", i).tolist()) for i in range(len(rows))]


def product_rate(device: Literal["cuda", "cpu"]) -> float:
    """Floating-point operations a second of a product of bf16 matrices, float32 ones on a CPU: the best of ten."""
    size, kind = PRODUCT[device], torch.bfloat16 if device == "cuda" else torch.float32
    left = right = torch.ones(size, size, dtype=kind, device=device)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def measured(setting: Setting, *, rows: int, repeats: int) -> dict[str, object]:
    """Tokens a second and share of the device's products of each system, turn by turn."""
    rate = product_rate(setting.device)
    speeds: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        write_base(setting, base)
        few, all_of_them = (texts("blocks", rows=n * setting.tokens // 128) for n in (4 * setting.batch, rows))
        tokens = setting.epochs * sum(map(len, pieces(setting, all_of_them)))
        for repeat in range(repeats + 1):
            for system, work in SYSTEMS.items():
                with tempfile.TemporaryDirectory() as folder:
                    seconds = work(setting, all_of_them if repeat else few, base, Path(folder))
                if repeat:  # the first, short, is the warm-up
                    speeds[system].append(tokens / seconds)
                    print(system, round(tokens / seconds), "tokens a second", flush=True)
    medians = {system: statistics.median(own) for system, own in speeds.items()}
    return {
        "tokens_per_s": speeds,
        "tokens_per_s_median": {system: round(value) for system, value in medians.items()},
        "mfu": {system: round(value * setting.flops_a_token / rate, 4) for system, value in medians.items()},
        "product_flops_per_s": rate,
        "ratio_median": round(
            statistics.median(h / t for h, t in zip(speeds["hone"], speeds["trainer"], strict=True)), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=FULL.epochs)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if given.tiny:
        print(json.dumps(measured(TINY, rows=min(given.rows, 16), repeats=1), indent=1))
        return
    if not torch.cuda.is_available():
        print("there is no CUDA device here: nothing was timed, nothing was written", file=sys.stderr)
        sys.exit(NO_DEVICE)
    kernel = installed_kernel(torch.device("cuda", torch.cuda.current_device()))
    found = measured(dataclasses.replace(FULL, epochs=given.epochs), rows=given.rows, repeats=given.repeats)
    settings = {"rows": given.rows, "epochs": given.epochs, "repeats": given.repeats}
    record = {**settings, "kernel": kernel, **found, "machine": machine()}
    print(json.dumps({key: record[key] for key in ("tokens_per_s_median", "mfu", "ratio_median")}), flush=True)
    (HERE / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A recipe in several processes of this machine: what the tests of them share."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.core.errors import HoneError
from hone.core.progress import Progress, Silent
from worker_processes import HOST, at_once, free_port

SENTENCES = ["the tide comes in twice a day", "nobody knows why it goes out again", "we watched it from the pier"]
NEW = {"architecture": "bert", "hidden": 16, "layers": 2, "heads": 2, "tokenizer": {"vocab_size": 120}}
LOOP = {"logging_steps": 1, "save_steps": None, "learning_rate": 5e-3, "num_train_epochs": 99,
        "eval_strategy": "steps", "eval_steps": 25}  # fmt: skip
PRETRAIN = {"kind": "pretrain", "per_device_train_batch_tokens": 60, "gradient_accumulation_steps": 3, "max_steps": 12,
            "dropout": 0.1, "techniques": ["gradient-checkpointing"], **LOOP}  # fmt: skip
FINETUNE = {"kind": "finetune", "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "max_steps": 50,
            "dropout": 0.1, **LOOP}  # fmt: skip


class Killed(Silent):
    """A `Progress` that ends its process after so many steps, without a word."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, units: int, **figures: float) -> None:
        self.left -= units
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Interrupted(Silent):
    """A `Progress` that interrupts its process after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, units: int, **figures: float) -> None:
        self.left -= units
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


class Saying(Silent):
    """A `Progress` that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, words: str) -> None:
        self.said.append(words)


def recipes(folder: Path) -> Callable[..., dict[str, Any]]:
    """A recipe on rows whose last step of an epoch has a single batch, so that one process has nothing to do."""
    documents = [{"text": f"{SENTENCES[i % 3]}, {SENTENCES[i // 3 % 3]}.", "document": f"d{i // 4}"} for i in range(48)]
    rows = [{"text": f"{SENTENCES[i % 3][:20]} {i}", "label": "abc"[i % 3]} for i in range(72)]
    for name, those in (("corpus", documents), ("train", rows)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in those), encoding="utf-8")

    def make(*stages: Any) -> dict[str, Any]:
        data = {"train": str(folder / "train.jsonl"), "validation": str(folder / "train.jsonl"),
                "corpus": {"path": str(folder / "corpus.jsonl"), "document": "document"}}  # fmt: skip
        pretrains = any(isinstance(stage, dict) and stage["kind"] == "pretrain" for stage in stages)
        return {"version": 1, "base": NEW, "task": "text-classification", "device": "cpu", "seed": 5,
                "data": data if pretrains else {k: v for k, v in data.items() if k != "corpus"},
                "stages": list(stages)}  # fmt: skip

    return make


def log_of(out: Path, stage: str) -> list[dict[str, float]]:
    """What a stage has logged."""
    file = next(out.glob(f"stages/*-{stage}/log.jsonl"))
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def losses(out: Path, stage: str) -> list[float]:
    return [record["loss"] for record in log_of(out, stage) if "loss" in record]


def _one(number: int, count: int, port: int, patched: dict[str, Any], values: dict[str, Any], out: Path,
         progress: Progress) -> None:  # fmt: skip
    for name, value in (("RANK", number), ("LOCAL_RANK", number), ("WORLD_SIZE", count), ("MASTER_PORT", port)):
        os.environ[name] = str(value)
    os.environ["MASTER_ADDR"] = HOST
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in patched.items():
                patch.setattr(name, value)
            hone.run(values, out=out, progress=progress)
        ended = ""
    except HoneError as error:
        ended = f"{error.code} {error}"
    except KeyboardInterrupt:
        ended = "interrupted"
    out.with_name(f"{out.name}-{number}").write_text(ended, encoding="utf-8")


def together(
    values: dict[str, Any], out: Path, *progress: Progress, patched: dict[str, Any] | None = None
) -> list[str | None]:
    """Run a recipe in as many processes as there are ``progress``, with what is ``patched`` in them; the error each
    ended with, None of a killed one."""
    count, port = len(progress), free_port()
    at_once(_one, [(i, count, port, patched or {}, values, out, one) for i, one in enumerate(progress)])
    said = [out.with_name(f"{out.name}-{i}") for i in range(count)]
    return [file.read_text(encoding="utf-8") if file.is_file() else None for file in said]

"""Two processes do what one does: the same losses step by step, one bundle, and a killed one is told of."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.core import processes
from hone.core.errors import HoneError
from hone.core.progress import Progress, Silent
from hone.report.report import Report

SENTENCES = ["the tide comes in twice a day", "nobody knows why it goes out again", "we watched it from the pier"]
NEW = {"architecture": "bert", "hidden": 16, "layers": 2, "heads": 2, "tokenizer": {"vocab_size": 120}}
LOOP = {"logging_steps": 1, "save_steps": None, "learning_rate": 5e-3, "num_train_epochs": 99,
        "eval_strategy": "steps", "eval_steps": 25}  # fmt: skip
PRETRAIN = {"kind": "pretrain", "per_device_train_batch_tokens": 60, "gradient_accumulation_steps": 3, "max_steps": 12,
            "dropout": 0.1, "techniques": ["gradient-checkpointing"], **LOOP}  # fmt: skip
FINETUNE = {"kind": "finetune", "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "max_steps": 50,
            "dropout": 0, **LOOP}  # fmt: skip


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


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """A recipe on rows whose last step of an epoch has a single batch, so that one process has nothing to do."""
    folder = tmp_path_factory.mktemp("rows")
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


def losses(out: Path, stage: str) -> list[float]:
    file = next(out.glob(f"stages/*-{stage}/log.jsonl"))
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [record["loss"] for record in records if "loss" in record]


def _one(number: int, count: int, port: int, values: dict[str, Any], out: Path, progress: Progress) -> None:
    for name, value in (("RANK", number), ("LOCAL_RANK", number), ("WORLD_SIZE", count), ("MASTER_PORT", port)):
        os.environ[name] = str(value)
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    try:
        hone.run(values, out=out, progress=progress)
        ended = ""
    except HoneError as error:
        ended = f"{error.code} {error}"
    except KeyboardInterrupt:
        ended = "interrupted"
    out.with_name(f"{out.name}-{number}").write_text(ended, encoding="utf-8")
    os._exit(0)


def together(values: dict[str, Any], out: Path, *progress: Progress) -> list[str | None]:
    """Run a recipe in as many processes as there are ``progress``; the error each ended with, None of a killed one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    each = [
        fork.Process(target=_one, args=(i, len(progress), port, values, out, one)) for i, one in enumerate(progress)
    ]
    for process in each:
        process.start()
    for process in each:
        process.join(60)
        assert not process.is_alive(), "it hangs"
    said = [out.with_name(f"{out.name}-{i}") for i in range(len(each))]
    return [file.read_text(encoding="utf-8") if file.is_file() else None for file in said]


def test_two_processes_have_the_losses_of_one_and_leave_one_bundle(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Masks of dropout, layers made again on the way back and rows of a table that move late included."""
    values = recipe(PRETRAIN, FINETUNE, "evaluate")
    values["data"]["test"] = values["data"]["validation"]
    result = hone.run(values, out=tmp_path / "one")
    assert together(values, tmp_path / "two", Silent(), Silent()) == ["", ""]
    for stage, steps in (("pretrain", 12), ("finetune", 50)):
        one, two = losses(tmp_path / "one", stage), losses(tmp_path / "two", stage)
        assert len(one) == len(two) == steps
        assert two == pytest.approx(one, abs=1e-4)
        assert one[-1] < one[0] - 0.05
    measured = Report.read(next((tmp_path / "two" / "reports").glob("*-evaluate.json"))).measures
    assert [m.value for m in measured[:1]] == pytest.approx([m.value for m in result.reports["evaluate"].measures[:1]])
    assert [path.name for path in tmp_path.glob("two/stages/*/log.jsonl")] == ["log.jsonl"] * 2


def test_a_killed_process_ends_the_other_with_an_error_and_one_process_goes_on_from_their_checkpoint(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """With techniques that act on the weights of a step; the second process has no batch of an epoch's last."""
    values = recipe({**FINETUNE, "max_steps": 10, "save_steps": 4, "techniques": ["mixout", "gradual-unfreezing"]})
    hone.run(values, out=tmp_path / "whole")
    first, second = together(values, tmp_path / "out", Silent(), Killed(6))
    assert second is None
    assert first is not None
    assert first.startswith("train.process-lost another process of this training has ended")
    progress = Saying()
    hone.run(values, out=tmp_path / "out", progress=progress)
    assert any(line.startswith("resuming at step 4") and line.endswith(", which 2 shared") for line in progress.said)
    assert losses(tmp_path / "out", "finetune") == pytest.approx(losses(tmp_path / "whole", "finetune"), abs=1e-4)


def test_an_interrupt_of_one_process_ends_both_after_the_same_step_whose_checkpoint_is_there(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    values = recipe({**FINETUNE, "max_steps": 10})
    assert together(values, tmp_path / "out", Silent(), Interrupted(3)) == ["interrupted"] * 2
    assert [path.name for path in tmp_path.glob("out/stages/*/checkpoints/*")] == ["step-000000003"]


def test_more_processes_than_batches_of_a_step_are_refused(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    values = recipe({**FINETUNE, "gradient_accumulation_steps": 1})
    first, _ = together(values, tmp_path / "out", Silent(), Silent())
    assert first is not None
    assert first.startswith("launch.batches")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("told", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}])
def test_an_environment_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, told: dict[str, str]) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HoneError) as raised:
        processes.place()
    assert raised.value.code == "launch.environment"

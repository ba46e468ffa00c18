"""Does a pretraining that is killed go on as if it had not been?

python benchmarks/pretrain/killed.py --points 20 --several 4 --seed 1
Writes benchmarks/pretrain/killed.json; HONE_DATA names the datasets. A tiny BERT learns paragraphs of two novels from
nothing, in an order that goes through a shuffle buffer smaller than the corpus, with dropout, an average of the weights
and the best ones kept, and a checkpoint every 5 steps. For each point the run is killed there by SIGKILL and given
again until it ends. Points are drawn by the seed: half at any moment of the time that the unbroken run takes, what it
reads before the first step and writes after the last one included; a third while one of the checkpoints is being
written; the others before the first of them is. A run that ended before its moment came was not killed, as its line
says. Equal to the unbroken run must be: the log but for its clocks; of every step the documents and all numbers of its
batches, whenever they were made; the steps, none left out or in another order, the resumed ones from the last whole
checkpoint on; the digest of the bundle, and so every byte of its weights.
Then two processes of `hone launch --max-restarts`, one or the other of which is killed, several times in one training.
Where anything differs it exits with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402

import hone  # noqa: E402
from hone.core.processes import place  # noqa: E402
from hone.pipeline.launch import Launch, launch  # noqa: E402
from hone.tasks.rows import IntArray  # noqa: E402
from hone.train.work import Shares, Work  # noqa: E402

FORK = multiprocessing.get_context("fork")
STEPS, EVERY = 60, 5
WRITING_SECONDS = 0.01  # about what the writing of a checkpoint takes
CLOCKS = ("seconds", "tokens_per_s", "mfu")
GLANCE = 0.0002  # seconds
STAGE = {
    "kind": "pretrain", "objective": "mlm", "max_length": 64, "max_steps": STEPS, "num_train_epochs": 99,
    "per_device_train_batch_tokens": 256, "gradient_accumulation_steps": 2, "learning_rate": 3e-3, "dropout": 0.1,
    "save_steps": EVERY, "logging_steps": 1, "eval_strategy": "steps", "eval_steps": 20, "keep": "best",
    "techniques": [{"name": "ema", "decay": 0.9}], "torch_compile": False,
}  # fmt: skip


def recipe() -> dict[str, Any]:
    """What is learned: paragraphs by themselves, so that there are thousands of documents."""
    novels = str(Path(os.environ["HONE_DATA"]) / "pretrain/english_novels/valid.jsonl")
    tokenizer = {"kind": "wordpiece", "vocab_size": 500}
    return {
        "version": 1, "name": "killed", "device": "cpu", "seed": 5,
        "base": {"architecture": "bert", "layers": 2, "hidden": 16, "heads": 2, "tokenizer": tokenizer},
        "data": {"corpus": {"path": novels, "shuffle_buffer": 256}, "validation_share": 0.005}, "stages": [STAGE],
    }  # fmt: skip


def work(out: Path) -> None:
    """The run, in this process. Beside its folder every step that is made ready is written down: its documents, and a
    digest of all numbers of its batches."""
    made_ready, number = Shares.work, place().number
    file = out.parent / f"{time.time_ns()}-{number}-{os.getpid()}.jsonl"
    file.touch()

    def noted(self: Shares, coming: tuple[int, list[IntArray]]) -> Work:
        found = made_ready(self, coming)
        digest = hashlib.sha256()
        for batch in found.batches:
            for name in sorted(batch):
                digest.update(name.encode() + batch[name].numpy().tobytes())
        record = {"step": coming[0], "documents": found.rows.tolist(), "batches": digest.hexdigest(), "by": number}
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        return found

    Shares.work = noted  # type: ignore[method-assign]
    torch.set_num_threads(1)
    hone.run(recipe(), out=out)


def started(out: Path) -> BaseProcess:
    """The run in a process of its own."""
    out.parent.mkdir(parents=True, exist_ok=True)
    process = FORK.Process(target=work, args=(out,))
    process.start()
    return process


def ended(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0, f"it ended with {process.exitcode}"


def records(file: Path) -> list[dict[str, Any]]:
    """Lines of JSON; one that a killed process did not end is none."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def starts(folder: Path) -> list[Path]:
    """What each process of a run wrote down, in the order of their starts."""
    return sorted(folder.glob("*.jsonl"))


def checkpoints(out: Path) -> list[int]:
    """Steps of the whole checkpoints that lie there."""
    return sorted(int(path.name.removeprefix("step-")) for path in out.glob("stages/*/checkpoints/step-*"))


def unfinished(out: Path) -> int:
    """Checkpoints that lie there in part."""
    return len(list(out.glob("stages/*/checkpoints/.checkpoint.*")))


@dataclass(frozen=True)
class Point:
    """Where a run is killed.

    Attributes:
        when: ``any``: so many seconds after its start; ``first``: the same, before the first checkpoint; ``writing``:
            so many after it begins to write one.
        checkpoint: The number of that, from 1.
    """

    when: str
    seconds: float
    checkpoint: int = 0

    def kill(self, process: BaseProcess, out: Path) -> bool:
        """Whether it came in time."""
        before = (self.checkpoint - 1) * EVERY
        while (
            self.checkpoint and process.is_alive() and not (max([0, *checkpoints(out)]) >= before and unfinished(out))
        ):
            time.sleep(GLANCE)
        until = time.monotonic() + self.seconds
        while process.is_alive() and time.monotonic() < until:
            time.sleep(GLANCE)
        process.kill()
        process.join()
        return process.exitcode == -signal.SIGKILL


def points(count: int, *, whole: float, first: float, rng: np.random.Generator) -> Iterator[Point]:
    """Points of a run that takes ``whole`` seconds, and ``first`` until its first checkpoint."""
    writing, early = count // 3, count // 6
    for _ in range(count - writing - early):
        yield Point("any", float(rng.uniform(0, whole)))
    for _ in range(writing):
        yield Point("writing", float(rng.uniform(0, WRITING_SECONDS)), int(rng.integers(1, STEPS // EVERY + 1)))
    for _ in range(early):
        yield Point("first", float(rng.uniform(0, first)))


@dataclass(frozen=True)
class Left:
    """What a run that ended left: its log, the digest of its bundle, and what each process wrote down."""

    log: list[dict[str, Any]]
    digest: str
    read: list[list[dict[str, Any]]]

    @classmethod
    def of(cls, out: Path) -> Left:
        [log] = out.glob("stages/*/log.jsonl")
        lines = [{name: value for name, value in line.items() if name not in CLOCKS} for line in records(log)]
        digest = json.loads((out / "bundle" / "hone.json").read_text(encoding="utf-8"))["digest"]
        return cls(lines, digest, list(map(records, starts(out.parent))))

    def differences(self, whole: Left) -> Iterator[str]:
        """What is otherwise than in the unbroken run."""
        expected = {(line["by"], line["step"]): line for read in whole.read for line in read}
        assert len(expected) == sum(map(len, whole.read)), "the unbroken run makes every step ready once"
        mine = [line for read in self.read for line in read]
        if self.log != whole.log:
            yield "log"
        if any(line != expected.get((line["by"], line["step"])) for line in mine):
            yield "documents"
        if any(read[i]["step"] + 1 != read[i + 1]["step"] for read in self.read for i in range(len(read) - 1)):
            yield "order"
        if {(line["by"], line["step"]) for line in mine} != expected.keys():
            yield "left out"
        if self.digest != whole.digest:
            yield "weights"


def one_process(count: int, *, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Every point a training of its own."""
    ended(started(folder / "before" / "run"))  # corpus, tokenizer and base are made once, and kept
    began, unbroken = time.monotonic(), folder / "unbroken" / "run"
    process = started(unbroken)
    while not checkpoints(unbroken):
        time.sleep(GLANCE)
    first = time.monotonic() - began
    ended(process)
    seconds, whole = time.monotonic() - began, Left.of(unbroken)
    found: list[dict[str, Any]] = []
    for number, point in enumerate(points(count, whole=seconds, first=first, rng=rng)):
        out = folder / f"killed-{number}" / "run"
        killed, steps = point.kill(started(out), out), checkpoints(out)
        found.append({**asdict(point), "killed": killed, "checkpoints": steps, "unfinished": unfinished(out),
                      "bundle": (out / "bundle").exists()})  # fmt: skip
        if not found[-1]["bundle"]:
            ended(started(out))
            again = records(starts(out.parent)[-1])
            found[-1]["resumed_at"] = again[0]["step"] if again else STEPS
        wrong = list(Left.of(out).differences(whole))
        wrong += ["resumed"] if found[-1].get("resumed_at", STEPS) != max([0, *steps]) else []
        found[-1]["different"] = wrong
        print(found[-1], flush=True)
    return {"seconds": seconds, "seconds_to_the_first_checkpoint": first, "points": found}


def launched(out: Path, restarts: int) -> None:
    """The run in two processes, as `hone launch` starts them."""
    command = [sys.executable, str(Path(__file__).resolve()), "--work", str(out)]
    raise SystemExit(launch(Launch(procs_per_node=2, max_restarts=restarts), command))


def several(count: int, *, folder: Path, rng: np.random.Generator) -> dict[str, Any]:
    """One training of two processes, one of which is killed at every point: after so many steps since the start."""
    unbroken, out = folder / "two" / "run", folder / "two-killed" / "run"
    for place_ in (unbroken, out):
        place_.parent.mkdir()
    process = FORK.Process(target=launched, args=(unbroken, 0))
    process.start()
    ended(process)
    process = FORK.Process(target=launched, args=(out, count))
    process.start()
    found: list[dict[str, Any]] = []
    for start in range(count):
        victim, steps = int(rng.integers(2)), int(rng.integers(0, STEPS // count))
        mine = _noted(out, victim, start, steps=steps)
        os.kill(int(mine.stem.rsplit("-", 1)[1]), signal.SIGKILL)
        found.append({"process": victim, "steps": len(records(mine)), "checkpoints": checkpoints(out)})
        print(found[-1], flush=True)
    ended(process)
    return {
        "points": found,
        "starts": len(starts(out.parent)),
        "different": list(Left.of(out).differences(Left.of(unbroken))),
    }


def _noted(out: Path, number: int, start: int, *, steps: int) -> Path:
    """What a process has written down since its start, as soon as that is so much."""
    while True:
        own = [file for file in starts(out.parent) if f"-{number}-" in file.name]
        if len(own) > start and len(records(own[start])) >= steps:
            return own[start]
        time.sleep(GLANCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--several", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work is not None:
        work(given.work)
        return
    from transformers import BertForMaskedLM  # noqa: F401 - once, and not in every process that is forked

    import hone.train.pretrain  # noqa: F401

    rng = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HONE_CACHE"] = str(Path(folder) / "cache")
        one = one_process(given.points, folder=Path(folder), rng=rng)
        two = several(given.several, folder=Path(folder), rng=rng)
    wrong = [point for point in one["points"] if point["different"]]
    killed = sum(point["killed"] for point in one["points"])
    print(f"{killed} of {given.points} were killed in time, {len(wrong)} differ")
    print(f"of two processes differ: {two['different'] or 'nothing'}")
    record = {"seed": given.seed, "one_process": one, "two_processes": two, "machine": machine()}
    (HERE / "killed.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if wrong or two["different"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

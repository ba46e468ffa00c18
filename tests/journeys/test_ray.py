"""Workers of Ray do what one process does, and one that is killed has both started again from their checkpoint."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from several_processes import FINETUNE, losses, recipes

import hone

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.timeout(1500),  # Ray starts a dozen processes, each of which imports it
]
STEPS, SAVED = 300, 20


@contextlib.contextmanager
def launched(*arguments: str, said: Path) -> Iterator[subprocess.Popen[str]]:
    """A launch on a cluster of this machine, which ends with it; what it says goes to a file."""
    command = [sys.executable, "-m", "hone", "launch", "--on", "ray", *arguments]
    with said.open("w", encoding="utf-8") as words:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Processes that train, the first one last."""
    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        return [one for one in below if "RayTrainWorker" in " ".join(one.cmdline())]
    return []


def runs(process: psutil.Process) -> bool:
    """Whether it does; one that has ended and was not looked at by whoever took it over does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_two_workers_have_the_losses_of_one_process_although_one_is_killed(tmp_path: Path) -> None:
    """On as many as there is room for; what is printed is the result alone; no process is left."""
    values = recipes(tmp_path)({**FINETUNE, "max_steps": STEPS, "save_steps": SAVED, "eval_steps": STEPS})
    recipe, out = tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    hone.run(values, out=tmp_path / "one")
    words = tmp_path / "words"
    with launched("--workers", "1:2", "--per-worker", "CPU=0.1", "--max-restarts", "1",
                  "run", str(recipe), "--out", str(out), said=words) as process:  # fmt: skip
        log = out / "stages" / "01-finetune" / "log.jsonl"
        while not log.is_file() or len(log.read_text(encoding="utf-8").splitlines()) < SAVED + 5:
            assert process.poll() is None, words.read_text(encoding="utf-8")
            time.sleep(0.05)
        everyone = psutil.Process(process.pid).children(recursive=True)
        workers(process)[-1].kill()
        printed, _ = process.communicate()
    said = words.read_text(encoding="utf-8")
    assert process.returncode == 0, said
    assert "all start again from the last checkpoint" in said
    assert "resuming at step" in said
    assert said.count("2 processes share each step's batches") == 2
    assert said.count(f"step {STEPS}: validation accuracy") == 1
    assert printed.splitlines()[-2].startswith(f"report   {out}")
    assert losses(out, "finetune") == pytest.approx(losses(tmp_path / "one", "finetune"), abs=1e-4)
    until = time.monotonic() + 60
    while alive := [one for one in everyone if runs(one)]:
        assert time.monotonic() < until, alive
        time.sleep(0.1)

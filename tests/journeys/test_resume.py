"""A killed or interrupted `hone run`, given again, ends with the very bundle that an undisturbed one makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TASKS: dict[str, Any] = {
    "classification": "text-classification",
    "tagging": {"name": "token-classification", "head": "crf", "word_shape": True, "context": 8},
}
WAIT_SECONDS = 120.0
STEPS = {"classification": 300, "tagging": 150}  # many more than are done while a checkpoint of the first is noticed
REFERENCES = """
import sys, hone
for run in sys.argv[1:]:
    recipe, out, *overrides = run.split()
    hone.run(recipe, out=out, overrides=overrides)
"""


@dataclass(frozen=True)
class Place:
    """A folder with recipes, rows and the bundles of undisturbed runs."""

    folder: Path
    environment: dict[str, str]

    def start(self, task: str, out: str) -> subprocess.Popen[str]:
        """`hone run` as a process of its own."""
        command = [sys.executable, "-m", "hone", "run", str(self.folder / f"{task}.yaml"), "--out", out]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip

    def digest(self, out: str) -> str:
        manifest = json.loads((self.folder / out / "bundle" / "hone.json").read_text(encoding="utf-8"))
        return str(manifest["digest"])

    def checkpoints(self, out: str) -> list[Path]:
        return sorted((self.folder / out).glob("stages/*/checkpoints/step-*"))


@pytest.fixture(scope="module")
def place(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("resume")
    texts = [{"text": f"{word} {end}", "label": word} for word in ("refund", "password") for end in "abcdefghijklmnop"]
    tagged = [{"tokens": [name, "is", "in", "rome"], "tags": ["B-PER", "O", "O", "B-LOC"]} for name in
              ("Ada", "Bob", "Eve", "Max", "Zoe", "Tim", "Kim", "Lea", "Ben", "Amy", "Ian", "Una")]  # fmt: skip
    for task, rows in (("classification", texts), ("tagging", tagged)):
        train = folder / f"{task}.jsonl"
        train.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        stage = {"kind": "finetune", "max_steps": STEPS[task], "num_train_epochs": 1000, "dropout": 0.2,
                 "per_device_train_batch_size": 2, "save_steps": 10, "eval_strategy": "steps",
                 "eval_steps": 70}  # fmt: skip
        recipe = {"version": 1, "task": TASKS[task], "base": str(tiny_base), "device": "cpu",
                  "data": {"train": train.name}, "stages": [stage]}  # fmt: skip
        (folder / f"{task}.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HONE_CACHE": str(folder / "cache")}
    short = "stages.0.max_steps=4"
    runs = ["classification.yaml classification", "tagging.yaml tagging",
            f"classification.yaml one {short}", f"classification.yaml two/in/another/folder {short}",
            f"classification.yaml other-seed {short} seed=14"]  # fmt: skip
    subprocess.run([sys.executable, "-c", REFERENCES, *runs], cwd=folder, env=environment, check=True)
    return Place(folder, environment)


def until_a_checkpoint(place: Place, out: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not place.checkpoints(out):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until, "no checkpoint appeared"
        time.sleep(0.01)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, words = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, words


@pytest.mark.parametrize("task", TASKS)
def test_a_killed_run_given_again_ends_with_the_same_bundle(place: Place, task: str) -> None:
    out = f"killed-{task}"
    process = place.start(task, out)
    until_a_checkpoint(place, out, process)
    process.kill()
    assert finished(process)[0] == -signal.SIGKILL
    assert place.checkpoints(out)
    assert not (place.folder / out / "bundle").exists()
    code, words = finished(place.start(task, out))
    assert code == 0, words
    assert "resuming at step" in words
    assert place.digest(out) == place.digest(task)


def test_an_interrupted_run_exits_130_with_a_checkpoint_and_goes_on_to_the_same_bundle(place: Place) -> None:
    process = place.start("classification", "interrupted")
    until_a_checkpoint(place, "interrupted", process)
    process.send_signal(signal.SIGTERM)
    code, words = finished(process)
    assert code == 130, words
    assert "Traceback" not in words
    [checkpoint] = place.checkpoints("interrupted")
    step = int(checkpoint.name.removeprefix("step-"))
    assert not (place.folder / "interrupted" / "bundle").exists()
    code, words = finished(place.start("classification", "interrupted"))
    assert code == 0, words
    assert f"resuming at step {step} of {STEPS['classification']}" in words
    assert place.digest("interrupted") == place.digest("classification")


def test_the_same_recipe_and_seed_give_the_same_bundle_in_any_folder(place: Place) -> None:
    assert place.digest("one") == place.digest("two/in/another/folder")


def test_another_seed_gives_another_bundle(place: Place) -> None:
    assert place.digest("one") != place.digest("other-seed")

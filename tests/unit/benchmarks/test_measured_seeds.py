"""What benchmarks write of seeds that several processes measure, of trainings that were stopped, and of slots."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from hone.core.progress import Silent
from hone.pipeline.run import run_stages

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS / name) for name in ("", "quality", "tasks")]

import slots  # noqa: E402
from index_growth import a_text  # noqa: E402
from measure import measured  # noqa: E402
from seeds import each_seed, recipe_of  # noqa: E402

TINY: dict[str, Any] = {
    "version": 1,
    "task": "text-classification",
    "base": {"architecture": "dan", "hidden": 8},
    "data": {"train": "train.jsonl", "test": "train.jsonl", "validation": "none"},
    "stages": [
        {"kind": "finetune", "max_steps": 4, "per_device_train_batch_size": 4, "eval_strategy": "no", "keep": "last",
         "save_steps": None},
        {"kind": "evaluate"},
    ],
}  # fmt: skip


class StoppedAt2(Silent):
    """Asks the process to end after the second step."""

    steps = 0

    def advance(self, count: int = 1, **figures: float) -> None:
        self.steps += count
        if self.steps == 2:
            signal.raise_signal(signal.SIGTERM)


def of_seeds(*seeds: int, out: Path) -> argparse.Namespace:
    return argparse.Namespace(name="some", seeds=list(seeds), out=out)


def lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_a_seed_that_another_process_adds_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text("a: 1\n")

    def quick(values: dict[str, Any], seed: int, out: Path) -> dict[str, Any]:
        return {"seed": seed}

    def long(values: dict[str, Any], seed: int, out: Path) -> dict[str, Any]:
        each_seed(of_seeds(2, out=tmp_path), quick, here=tmp_path)  # what another process does while this one trains
        return {"seed": seed}

    runs = each_seed(of_seeds(1, out=tmp_path), long, here=tmp_path)
    assert sorted(run["seed"] for run in runs) == [1, 2]
    assert json.loads((tmp_path / "some.json").read_text())["runs"] == runs


def test_a_training_that_was_stopped_and_went_on_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_DATA", str(tmp_path))
    lines(tmp_path / "train.jsonl", [{"text": f"word{i % 7} is here", "label": f"l{i % 2}"} for i in range(16)])
    with pytest.raises(KeyboardInterrupt):
        run_stages(recipe_of(TINY, seed=1), out=tmp_path / "stopped", progress=StoppedAt2())
    assert measured(TINY, 1, tmp_path / "stopped")["resumed"]
    assert "resumed" not in measured(TINY, 1, tmp_path / "straight")


def test_slots_are_measured_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [("打开", "app", "微信"), ("播放", "music", "晴天")]
    lines(tmp_path / "intent/smp2019_nlu/train.jsonl", [
        {"text": f"{verb}{what}{i}", "label": label, "slots": {"name": what}} for i in range(12)
        for verb, label, what in said
    ])  # fmt: skip
    recipe = (BENCHMARKS / "tasks/smp2019-slots.yaml").read_text().replace("num_train_epochs: 30", "max_steps: 2")
    (tmp_path / "smp2019-slots.yaml").write_text(recipe)
    monkeypatch.setenv("HONE_DATA", str(tmp_path))
    monkeypatch.setattr(slots, "HERE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["slots.py", "--seeds", "1", "2", "--out", str(tmp_path / "runs")])
    slots.main()
    told = json.loads((tmp_path / "smp2019-slots.json").read_text())
    assert [run["seed"] for run in told["runs"]] == [1, 2]
    assert {"intent_accuracy", "slot_f1", "frame_accuracy"} <= told["mean"].keys()
    assert str(tmp_path) not in json.dumps(told)


def test_what_a_text_more_takes() -> None:
    sizes = {"1000": (50.0, 40.0, 2.0, 1.0), "3000": (50.4, 40.2, 5.0, 1.5)}
    found = {n: dict(zip(("peak_mb", "own_mb", "index_mb", "seconds"), row, strict=True)) for n, row in sizes.items()}
    assert a_text(found, [1000, 3000]) == {
        "peak_bytes_a_text": 200.0, "own_bytes_a_text": 100.0, "index_bytes_a_text": 1500.0,
        "microseconds_a_text": 250.0,
    }  # fmt: skip
    assert a_text(found, [1000]) == {}

"""`hone inspect RECIPE --plan`: from the recipe alone, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hone.models.tiny import write_tiny_writer
from hone.pipeline.plan import step_of
from hone.train.pretrain_settings import PretrainSettings

Command = Callable[..., tuple[object, str, str]]
BASE = {"architecture": "gpt2", "layers": 12, "hidden": 768, "heads": 12, "max_length": 1024,
        "tokenizer": {"vocab_size": 50257}}  # fmt: skip
STAGE = {"kind": "pretrain", "objective": "clm", "per_device_train_batch_tokens": 16384,
         "gradient_accumulation_steps": 32}  # fmt: skip


def written(folder: Path, **changed: Any) -> Path:
    """A recipe whose corpus is not there."""
    stages = changed.pop("stages", [STAGE])
    values = {
        "version": 1,
        "name": "big",
        "base": BASE,
        "data": {"corpus": "none/*.jsonl"},
        "stages": stages,
        **changed,
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    return file


def test_tables_agree_with_one_another_and_with_what_is_assumed(command: Command, tmp_path: Path) -> None:
    asked = ["--plan", "--gpus", "1,64", "--devices", "h100", "--mfu", "0.5", "--price", "2", "--tokens", "1e10"]
    code, said, words = command("inspect", written(tmp_path), *asked, "--json")
    assert code == 0, words
    report = json.loads(said)
    told = {one["name"]: one["value"] for one in report["measures"]}
    assert ["mixed_precision: no" in one for one in report["warnings"]] == [True]
    assert told["parameters"] == 124_439_808
    assert told["step_tokens"] == 32 * 16384
    assert told["checkpoint_size"] == 12 * 124_439_808
    times, steps = ([dict(zip(grid["columns"], row, strict=True)) for row in grid["rows"]]
                    for grid in (report["tables"]["plan_times"], report["tables"]["plan_steps"]))  # fmt: skip
    assert [row["gpus"] for row in times] == [1, 64]
    for row, step in zip(times, steps, strict=True):
        seconds = step["products_seconds"] + step["update_seconds"] + step["sent_seconds"]
        assert row["all_seconds"] == pytest.approx(1e10 / told["step_tokens"] * seconds, rel=1e-4)
        assert row["gpu_hours"] == pytest.approx(row["all_seconds"] / 3600 * row["gpus"])
        assert row["price"] == pytest.approx(2 * row["gpu_hours"])
        assert row["reached_mfu"] < 0.5
    assert times[0]["reached_mfu"] > 0.499  # nothing is sent
    assert times[1]["reached_mfu"] < times[0]["reached_mfu"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_table_fits_a_terminal(command: Command, tmp_path: Path, language: str) -> None:
    code, said, words = command("inspect", written(tmp_path, language=language), "--plan", "--tokens", "2e12")
    assert code == 0, words
    titles = {"en": ["Assumed", "Memory of one GPU", "A step", "The training"],
              "zh": ["假设", "每块 GPU 的显存", "一步", "整个训练"]}  # fmt: skip
    assert [line for line in said.splitlines() if line in titles[language]] == titles[language]


@pytest.mark.parametrize(
    ("objectives", "reads", "scored"), [(["mlm", "sop"], 2, 0.15), (["contrastive"], 2, 0.0), (["clm"], 1, 1.0)]
)
def test_every_objective_reads_the_batch_itself(objectives: list[str], reads: int, scored: float) -> None:
    settings = PretrainSettings(objective=[{"name": name} for name in objectives])
    step = step_of(settings, limit=128)
    assert (step.reads, step.scored) == (reads, scored)


def test_max_steps_say_how_many_tokens(command: Command, tmp_path: Path) -> None:
    file = written(tmp_path, stages=[{**STAGE, "max_steps": 1000}])
    code, said, words = command("inspect", file, "--plan", "--json", "--gpus", "8")
    assert code == 0, words
    told = {one["name"]: one["value"] for one in json.loads(said)["measures"]}
    assert told["training_tokens"] == 1000 * 32 * 16384


@pytest.mark.parametrize(
    ("changed", "asked", "expected"),
    [
        ({}, [], "max_steps"),
        ({"base": {"grow": "minilm", "layers": 12}}, ["--tokens", "1e9"], "an architecture with its sizes"),
        ({"base": {"architecture": "dan"}, "stages": [{**STAGE, "objective": "mlm"}]}, ["--tokens", "1e9"],
         "a transformer"),
        ({"base": "nowhere"}, ["--tokens", "1e9"], "found no base model"),
        ({"base": "x", "task": "text-classification", "data": {"train": "x.jsonl"}, "stages": ["finetune"]}, [],
         "no stage that"),
        ({"stages": [STAGE, STAGE]}, ["--tokens", "1e9"], "2 stages that pretrain"),
        ({}, ["--gpus", "12"], "whole machines of 8"),
        ({}, ["--gpus", "many"], "whole machines of 8"),
        ({}, ["--gpus", "²"], "whole machines of 8"),
        ({}, ["--devices", "abacus"], "A100, H100"),
        ({}, ["--tokens", "inf"], "--tokens inf"),
        ({}, ["--price", "nan"], "--price"),
    ],
)  # fmt: skip
def test_what_no_plan_can_be_made_of_is_refused(
    command: Command, tmp_path: Path, changed: dict[str, Any], asked: list[str], expected: str
) -> None:
    code, said, words = command("inspect", written(tmp_path, **changed), "--plan", *asked)
    assert (code, said) == (2, "")
    assert expected in words


def test_what_is_assumed_without_a_plan_is_refused(command: Command, tmp_path: Path) -> None:
    code, _, words = command("inspect", written(tmp_path), "--price", "2")
    assert code == 2
    assert "--plan" in words


@pytest.mark.parametrize("asked", [["--task", "dialogue"], ["--base", "minilm", "--plan"], ["--column", "text=body"]])
def test_what_a_recipe_says_itself_is_refused_beside_it(command: Command, tmp_path: Path, asked: list[str]) -> None:
    code, said, words = command("inspect", written(tmp_path), *asked)
    assert (code, said) == (2, "")
    assert f"{asked[0]}, and the recipe" in words


def test_a_plan_of_rows_is_refused(command: Command, tmp_path: Path) -> None:
    code, _, words = command("inspect", tmp_path / "rows.jsonl", "--plan")
    assert code == 2
    assert "one recipe" in words


@pytest.mark.parametrize(("kind", "fewest"), [("t5", None), ("bart", None), ("gpt2", 2)])
def test_a_base_is_divided_in_a_plan_only_as_training_divides_it(
    command: Command, tmp_path: Path, kind: Any, fewest: int | None
) -> None:
    base = write_tiny_writer(tmp_path / kind, kind=kind)
    stage = {**STAGE, "objective": "clm" if kind == "gpt2" else "denoising"}
    file = written(tmp_path, base=str(base), stages=[stage])
    code, said, words = command("inspect", file, "--plan", "--tokens", "1e9", "--json")
    assert code == 0, words
    table = json.loads(said)["tables"]["plan_smallest"]
    place = table["columns"].index("gpus_tp")
    assert {row[place] for row in table["rows"]} == {fewest}

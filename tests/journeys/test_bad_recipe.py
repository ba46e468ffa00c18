"""Every fault of a recipe, through ``hone run``: exit code 2, all faults at once, each with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.cli.main import main

GOOD = """\
version: 1
name: small
task:
  name: text-classification
  pooling: mean
base: BASE
seed: 13
data:
  train: train.jsonl
  test:
    path: test.jsonl
stages:
  - kind: inspect
  - kind: evaluate
    worst: 3
"""


class Journey:
    """Runs recipes in a folder that holds the data."""

    def __init__(self, folder: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file, self.base, self.capsys = folder / "recipe.yaml", base, capsys

    def refused(self, text: str, *overrides: str) -> str:
        """What is said of a recipe that cannot be used; nothing is made of it."""
        self.file.write_text(text.replace("BASE", str(self.base)), encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main(["run", str(self.file), *overrides, "--out", str(self.file.parent / "out")])
        out, err = self.capsys.readouterr()
        assert (ended.value.code, out) == (2, ""), err
        assert "Traceback" not in err
        assert not (self.file.parent / "out" / "bundle").exists()
        return err

    def place(self, line: int) -> str:
        return f"{self.file}:{line}: "


@pytest.fixture
def journey(texts: dict[str, Path], tiny_base: Path, capsys: pytest.CaptureFixture[str]) -> Journey:
    return Journey(texts["train"].parent, tiny_base, capsys)


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "near"),
    [
        ("version: 1", "version: 2", 1, "version", ""),
        ("name: small", "nmae: small", 2, "nmae", "name"),
        ("name: small", "name: [a]", 2, "name", ""),
        ("seed: 13", 'seed: "13"', 7, "seed", ""),
        ("seed: 13", "seed: 1.5", 7, "seed", ""),
        ("seed: 13", "seed: -1", 7, "seed", ""),
        ("seed: 13", "device: gpu", 7, "device", ""),
        ("seed: 13", "device: cdua", 7, "device", "cuda"),
        ("name: text-classification", "name: text-clasification", 4, "task.name", "text-classification"),
        ("pooling: mean", "poling: mean", 5, "task.poling", "pooling"),
        ("pooling: mean", "pooling: max", 5, "task.pooling", ""),
        ("pooling: mean", "max_length: 2", 5, "task.max_length", ""),
        ("train: train.jsonl", "train: 5", 9, "data.train", ""),
        ("path: test.jsonl", "paht: test.jsonl", 11, "data.test.paht", "path"),
        ("path: test.jsonl", "path: 5", 11, "data.test.path", ""),
        ("train: train.jsonl", "train: train.jsonl\n  validation_share: 1.5", 10, "data.validation_share", ""),
        ("train: train.jsonl", "train: train.jsonl\n  drop: [leeked]", 10, "data.drop.0", "leaked"),
        ("kind: inspect", "kind: inspekt", 13, "stages.0.kind", "inspect"),
        ("kind: inspect", "unknown_share: 0.5", 13, "stages.0", ""),
        ("worst: 3", "worts: 3", 15, "stages.1.worts", "worst"),
        ("worst: 3", "worst: three", 15, "stages.1.worst", ""),
        ("worst: 3", "worst: -3", 15, "stages.1.worst", ""),
        ("worst: 3", "on: tset", 14, "stages.1", "test"),
    ],
)
def test_a_fault_of_any_section_is_told_with_line_and_key(
    journey: Journey, old: str, new: str, line: int, key: str, near: str
) -> None:
    assert old in GOOD
    err = journey.refused(GOOD.replace(old, new, 1))
    assert f"{journey.place(line)}{key}: found " in err
    assert not near or f"Did you mean {near!r}?" in err


def test_all_faults_are_told_at_once(journey: Journey) -> None:
    text = GOOD.replace("seed: 13", "sede: 13").replace("mean", "maen").replace("path:", "file:").replace("3\n", "x\n")
    err = journey.refused(text)
    told = [(7, "sede"), (5, "task.pooling"), (10, "data.test.path"), (11, "data.test.file"), (15, "stages.1.worst")]
    assert all(f"{journey.place(line)}{key}: found " in err for line, key in told), err
    assert "5 faults" in err


@pytest.mark.parametrize(
    ("text", "line"), [("seed: 13", "seed: 13\nseed: 14"), ("    worst: 3", "    worst: 3\n    worst: 4")]
)
def test_a_key_that_stands_twice_is_told(journey: Journey, text: str, line: str) -> None:
    err = journey.refused(GOOD.replace(text, line))
    number = GOOD.splitlines().index(text) + 2
    assert journey.place(number) in err
    assert text.split(":")[0].strip() in err


@pytest.mark.parametrize("text", ["version: 1\n  name: x\n", "stages: [inspect\n", "just words", "", "a: 2024-99-99"])
def test_what_is_not_yaml_or_no_mapping_is_told(journey: Journey, text: str) -> None:
    assert str(journey.file) in journey.refused(text)


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "gone.yaml")])
    assert ended.value.code == 2
    assert str(tmp_path / "gone.yaml") in capsys.readouterr().err


@pytest.mark.parametrize("base", ["./nowhere", "minilmm", "recipe.yaml"])
def test_an_unknown_base_is_told(journey: Journey, base: str) -> None:
    assert base in journey.refused(GOOD.replace("BASE", base).replace("kind: inspect", "kind: finetune"))


def test_a_missing_data_file_is_told_with_the_nearest(journey: Journey) -> None:
    err = journey.refused(GOOD.replace("train: train.jsonl", "train: trian.jsonl"))
    assert "trian.jsonl" in err
    assert "Did you mean train.jsonl" in err


def test_evaluate_without_anything_to_evaluate_is_told(journey: Journey) -> None:
    assert "finetune" in journey.refused(GOOD)


@pytest.mark.parametrize(
    "override",
    ["seed", "=1", "stages.2.worst=1", "stages.x.worst=1", "version.x=1", "seed=[1", "task.poling=cls", "sed=1",
     "stages.1.worst=-1"],
)  # fmt: skip
def test_a_bad_override_is_told(journey: Journey, override: str) -> None:
    err = journey.refused(GOOD, override)
    key, _, value = override.partition("=")
    assert (key or override) in err or repr(value) in err


def test_overrides_reach_into_short_forms(journey: Journey, capsys: pytest.CaptureFixture[str]) -> None:
    text = "version: 1\ntask: text-classification\ndata: {train: train.jsonl}\nstages: [inspect]\n"
    journey.file.write_text(text)
    out = journey.file.parent / "out"
    overrides = ["task.pooling=cls", "data.train.format=jsonl", "stages.0.examples=1", "seed=3"]
    with pytest.raises(SystemExit) as ended:
        main(["run", str(journey.file), *overrides, "--out", str(out)])
    assert ended.value.code == 0
    decided = (out / "recipe.yaml").read_text()
    assert all(line in decided for line in ("pooling: cls", "format: jsonl", "examples: 1", "seed: 3"))


def test_what_no_stage_could_do_is_told_with_its_line(journey: Journey) -> None:
    assert journey.place(14) + "stages.1: found evaluate, with no bundle" in journey.refused(GOOD)


def test_what_does_not_fit_the_base_is_told_with_its_line(journey: Journey) -> None:
    tuned = GOOD.replace("kind: inspect", "kind: finetune\n    method:\n      name: lora\n      r: 5000")
    assert journey.place(16) + "stages.0.method.r: found 5000" in journey.refused(tuned)


def test_a_label_that_no_row_has_is_told_with_its_line(journey: Journey) -> None:
    narrowed = GOOD.replace("pooling: mean", "labels: [refund, pasword]")
    said = journey.refused(narrowed)
    assert journey.place(5) + "task.labels: found the label 'pasword'" in said

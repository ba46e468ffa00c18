"""What cannot be run is told before anything is, all of it together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from small_recipes import Said, values

import hone
from hone.core.errors import BundleError, DataError, HoneError, RecipeError
from hone.pipeline.alone import alone_in


def test_the_faults_of_one_source_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        hone.run(values({"train": tmp_path / "gone.jsonl"}), out=tmp_path / "out")
    assert caught.value.code == "data.missing"
    assert str(tmp_path / "gone.jsonl") in str(caught.value)


def test_faults_of_several_sources_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "x"}\n{"text": "y", "label": "a"}\n')
    with pytest.raises(DataError) as caught:
        hone.run(values({"train": tmp_path / "train.jsonl", "test": tmp_path / "gone.jsonl"}), out=tmp_path / "out")
    named = {Path(fault.file).name for fault in caught.value.faults}
    assert named == {"train.jsonl", "gone.jsonl"}
    assert caught.value.code == "data.column-missing"


def test_evaluate_without_a_bundle_is_told(texts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        hone.run(values(texts, stages=["evaluate"]), out=tmp_path / "out")
    assert caught.value.code == "recipe.no-bundle"


def test_an_unknown_base_is_told_before_anything_is_written(texts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        hone.run(values(texts, base="./nowhere", stages=["finetune"]), out=tmp_path / "out")
    assert caught.value.code == "base.unknown"
    assert "./nowhere" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written_is_told(texts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HoneError) as caught:
        hone.run(values(texts), out=tmp_path / "file" / "out")
    assert (caught.value.code, caught.value.exit_code) == ("run.not-written", 1)
    assert str(tmp_path / "file" / "out") in str(caught.value)


def test_a_second_run_into_a_folder_is_refused_while_the_first_goes_on(
    texts: dict[str, Path], tmp_path: Path, tiny_base: Path
) -> None:
    recipe = values(texts, base=str(tiny_base), stages=["inspect"])
    with alone_in(tmp_path / "out"), pytest.raises(RecipeError, match=f"process {os.getpid()}") as caught:
        hone.run(recipe, out=tmp_path / "out")
    assert caught.value.code == "run.in-use"
    assert not (tmp_path / "out" / "recipe.yaml").exists()
    hone.run(recipe, out=tmp_path / "out")
    assert not (tmp_path / "out" / ".running").exists()


def test_a_second_run_is_refused_before_it_reads_anything(
    texts: dict[str, Path], tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    monkeypatch.setattr("hone.pipeline.run.read_data", lambda *given: read.append(given))
    recipe = values(texts, base=str(tiny_base), stages=["inspect"])
    with alone_in(tmp_path / "out"), pytest.raises(RecipeError, match=f"process {os.getpid()}") as caught:
        hone.run(recipe, out=tmp_path / "out")
    assert (caught.value.code, read) == ("run.in-use", [])


def test_a_run_that_was_killed_keeps_nobody_out(texts: dict[str, Path], tmp_path: Path, tiny_base: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".running").write_text("1\n")
    result = hone.run(values(texts, base=str(tiny_base), stages=["inspect"]), out=tmp_path / "out")
    assert list(result.reports) == ["inspect"]
    assert (tmp_path / "out" / "recipe.yaml").is_file()
    assert not (tmp_path / "out" / ".running").exists()


def test_what_is_in_the_bundles_way_is_told_before_training(
    texts: dict[str, Path], tmp_path: Path, tiny_base: Path
) -> None:
    (tmp_path / "out" / "bundle").mkdir(parents=True)
    (tmp_path / "out" / "bundle" / "thesis.txt").write_text("mine")
    said = Said()
    with pytest.raises(BundleError) as caught:
        hone.run(values(texts, base=str(tiny_base), stages=["finetune"]), out=tmp_path / "out", progress=said)
    assert caught.value.code == "bundle.in-the-way"
    assert not any(words.endswith("...") for words in said.words)
    assert not (tmp_path / "out" / "recipe.yaml").exists()


def test_what_no_stage_could_do_is_told_together_before_anything_runs(texts: dict[str, Path], tmp_path: Path) -> None:
    recipe = values(
        texts, stages=["evaluate", {"kind": "finetune", "metric_for_best_model": "f2", "class_weights": {"no": 2.0}}]
    )
    recipe["data"]["validation"] = "none"
    with pytest.raises(RecipeError) as caught:
        hone.run(recipe, out=tmp_path / "out")
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [
        ("recipe.no-bundle", "stages.0"),
        ("recipe.no-validation", "stages.1.metric_for_best_model"),
        ("recipe.unknown-measure", "stages.1.metric_for_best_model"),
        ("recipe.unknown-label", "stages.1.class_weights.no"),
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("setting", [{"label_smoothing_factor": 0.1}, {"class_weights": "balanced"}])
def test_a_crf_takes_no_weights_of_labels(tagged: dict[str, Path], tmp_path: Path, setting: dict[str, Any]) -> None:
    task = {"name": "token-classification", "head": "crf"}
    with pytest.raises(RecipeError) as caught:
        hone.run(values(tagged, task=task, stages=[{"kind": "finetune", **setting}]), out=tmp_path / "out")
    assert [fault.field for fault in caught.value.faults] == [f"stages.0.{next(iter(setting))}"]
    assert caught.value.code == "recipe.loss-options"

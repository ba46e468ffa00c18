"""Text that nobody labeled becomes a base, and the base a model of a task."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import hone
from hone.bundle.bundle import Bundle
from hone.core.errors import DataError, HoneError, RecipeError
from hone.core.progress import Silent
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import read_data

Command = Callable[..., tuple[object, str, str]]
SENTENCES = ["the tide comes in twice a day", "nobody knows why it goes out again", "we watched it from the pier"]
NEW = {"architecture": "bert", "hidden": 16, "layers": 1, "heads": 2, "tokenizer": {"vocab_size": 120}}
STAGE = {"kind": "pretrain", "per_device_train_batch_tokens": 200, "learning_rate": 5e-3, "save_steps": None}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [
        {"text": f"{SENTENCES[i % 3]}, {SENTENCES[(i + i // 3) % 3]}.", "document": f"d{i // 4}"} for i in range(48)
    ]
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def named(corpus: Path) -> dict[str, str]:
    return {"path": str(corpus), "document": "document"}


def recipe(corpus: Path, **changed: Any) -> dict[str, Any]:
    values = {"version": 1, "base": NEW, "data": {"corpus": named(corpus)}, "stages": [STAGE], "device": "cpu"}
    return {**values, **changed}


def test_pretraining_then_finetuning_in_one_recipe(corpus: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    data = {"corpus": named(corpus), "train": str(texts["train"]), "test": str(texts["test"])}
    stages = [
        {**STAGE, "num_train_epochs": 3.0},
        {"kind": "finetune", "method": "lora", "max_steps": 4, "save_steps": None},
        "evaluate",
    ]
    values = recipe(corpus, data=data, task="text-classification", stages=stages)
    result = hone.run(values, out=tmp_path / "run")
    assert list(result.reports) == ["inspect", "pretrain", "finetune", "evaluate"]
    assert result.bundle is not None
    [parent] = result.bundle.manifest.lineage.parents
    base = Bundle.open(next((tmp_path / "run" / "stages").glob("*-pretrain")) / "bundle")
    assert parent == base.digest
    assert base.manifest.task is None
    assert base.manifest.plain.auto_class == "AutoModelForMaskedLM"
    assert any("The head that tells held-out text is new" in one for one in result.reports["pretrain"].warnings)
    told = {(one.name, one.slice): one.value for one in result.reports["pretrain"].measures}
    after, before = told["masked_perplexity", "held_out"], told["masked_perplexity", "before"]
    assert after is not None
    assert before is not None
    assert after < before


def test_a_base_made_by_the_command_goes_on_learning_and_is_tuned(
    corpus: Path, texts: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    steps = ["max_steps=2", "save_steps=null"]
    base, more, out = tmp_path / "base", tmp_path / "more", tmp_path / "out"
    code, _, words = command("pretrain", corpus, "--out", base, "--base", json.dumps(NEW), *steps)
    assert code == 0, words
    assert "one is begun, tied to its embeddings" in words
    code, said, words = command("pretrain", corpus, "--out", more, "--base", base, "--json", *steps)
    assert code == 0, words
    assert "one is begun" not in words  # the head goes with the base
    assert json.loads(said)["stage"] == "pretrain"
    assert not any("is new" in one for one in json.loads(said)["warnings"])
    code, _, words = command("finetune", texts["train"], "--out", out, "--base", more, "max_steps=2")
    assert code == 0, words
    assert Bundle.open(out).manifest.lineage.parents == (Bundle.open(more).digest,)
    code, _, words = command("predict", more, texts["test"])
    assert code == 2
    assert "it is a base model" in words


def test_a_base_is_chosen_by_a_probe_and_what_each_source_lost_is_told(
    corpus: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    pairs = [{"text_a": one, "text_b": other, "score": float(one == other)} for one in SENTENCES for other in SENTENCES]
    alike = tmp_path / "alike.jsonl"
    alike.write_text("".join(json.dumps(row) + "\n" for row in pairs), encoding="utf-8")
    sources = {"tides": named(corpus), "mail": {"path": str(texts["train"])}}
    data = {"corpus": {"sources": sources}, "topics": str(texts["test"]), "alike": str(alike)}
    stage = {**STAGE, "num_train_epochs": 2.0, "probes": ["topics", "alike"], "keep": "best",
             "metric_for_best_model": "topics.accuracy"}  # fmt: skip
    found = hone.run(recipe(corpus, data=data, stages=[stage]), out=tmp_path / "run").reports["pretrain"]
    told = [row[:2] for row in found.tables["probed"].rows]
    assert told == [["topics", "Accuracy"], ["alike", "Spearman correlation"]]
    assert {row[0] for row in found.tables["forgetting"].rows} == {"held out", "tides", "mail"}
    chosen = {one.slice: one.value for one in found.measures if one.name == "accuracy"}["topics"]
    curve = found.tables["probe_curve"]
    assert curve.columns == ["epoch", "topics.accuracy", "alike.spearman"]
    assert chosen == max(row[1] for row in curve.rows if isinstance(row[1], float))


class Saying(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, words: str) -> None:
        self.said.append(words)


def test_a_probe_on_the_rows_of_the_test_under_another_name_is_refused(
    corpus: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    copied, told = tmp_path / "topics.jsonl", Saying()
    rows = texts["test"].read_text(encoding="utf-8").splitlines(keepends=True)
    data = {"corpus": named(corpus), "train": str(texts["train"]), "test": str(texts["test"]), "topics": str(copied)}
    stages = [{**STAGE, "probes": ["topics"]}, {"kind": "finetune"}, "evaluate", {"kind": "evaluate", "on": "train"}]
    values = recipe(corpus, data=data, task="text-classification", stages=stages)
    copied.write_text("".join(reversed(rows[1:])), encoding="utf-8")
    assert faults_of(values, tmp_path) == {("recipe.probe-data", "stages.0.probes.0")}
    decided = make_recipe({**values, "data": {**data, "topics": str(texts["train"])}}, folder=tmp_path)
    read_data(decided, told)
    assert not any("probe" in words for words in told.said)
    more = [json.dumps({"text": f"another text {i}", "label": "abc"[i % 3]}) + "\n" for i in range(40)]
    copied.write_text("".join([rows[0], *more]), encoding="utf-8")
    read_data(make_recipe(values, folder=tmp_path), told)
    assert any("1 stand in test" in words for words in told.said)


class Stopping(Silent):
    """Interrupts the process once, after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, units: int, **figures: float) -> None:
        if figures:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("objective", [["mlm", "sop"], ["rtd", "contrastive"], ["aae", "vae"]])
def test_an_interrupted_pretraining_goes_on_to_the_same_base(corpus: Path, tmp_path: Path, objective: Any) -> None:
    stage = {
        **STAGE,
        "objective": objective,
        "max_steps": 8,
        "num_train_epochs": 4.0,
        "dropout": 0.2,
        "save_steps": 100,
    }
    general = tmp_path / "general.txt"
    general.write_text("\n\n".join(f"{word} {SENTENCES[i % 3]}" for i, word in enumerate("abcdefghijklmnop")))
    sources = {"domain": named(corpus), "general": {"path": str(general), "share": 0.2}}
    values = recipe(corpus, stages=[stage], data={"corpus": {"sources": sources}})
    whole = hone.run(values, out=tmp_path / "whole").bundle
    with pytest.raises(KeyboardInterrupt):
        hone.run(values, out=tmp_path / "parts", progress=Stopping(3))
    [checkpoint] = (tmp_path / "parts").glob("stages/*/checkpoints/step-*")
    assert 3 <= int(checkpoint.name.removeprefix("step-")) < 8
    again = hone.run(values, out=tmp_path / "parts")
    assert again.reports["pretrain"].facts["resumed_at_step"] is not None
    assert whole is not None
    assert again.bundle is not None
    assert whole.digest == again.bundle.digest


def faults_of(values: dict[str, Any], folder: Path) -> set[tuple[str, str]]:
    with pytest.raises(RecipeError) as caught:
        hone.run(values, out=folder / "run")
    return {(fault.code, fault.field) for fault in caught.value.faults}


def test_probes_that_cannot_be_had_are_told_together(corpus: Path, tmp_path: Path) -> None:
    stage = {**STAGE, "probes": ["topics", "train", "topics"], "metric_for_best_model": "topics.f1"}
    data = {"corpus": named(corpus), "train": str(corpus)}
    assert faults_of(recipe(corpus, data=data, stages=[stage]), tmp_path) == {
        ("recipe.no-split", "stages.0"),
        ("recipe.probe-data", "stages.0.probes.1"),
        ("recipe.probe-data", "stages.0.probes.2"),
    }
    data = {"corpus": named(corpus), "topics": str(corpus)}
    with pytest.raises(DataError, match="corpus.jsonl"):
        hone.run(recipe(corpus, data=data, stages=[{**STAGE, "probes": ["topics"]}]), out=tmp_path / "run")


def test_what_an_objective_cannot_have_is_told_before_anything_runs(corpus: Path, tmp_path: Path) -> None:
    other = recipe(corpus, stages=[{**STAGE, "objective": ["clm", "mlm"]}])
    assert faults_of(other, tmp_path) == {("recipe.objective-base", "stages.0.objective.0.name")}
    wrong = recipe(corpus, stages=[{**STAGE, "objective": ["mlm", "mlm"], "metric_for_best_model": "f1"}])
    assert faults_of(wrong, tmp_path) == {
        ("recipe.objective", "stages.0.objective"),
        ("recipe.unknown-measure", "stages.0.metric_for_best_model"),
    }
    assert faults_of(recipe(corpus, stages=[{**STAGE, "objective": "mln"}]), tmp_path) == {
        ("recipe.unknown-objective", "stages.0.objective.0")
    }
    assert ("recipe.missing", "task") in faults_of(recipe(corpus, stages=["finetune"]), tmp_path)
    assert ("recipe.no-split", "stages.0") in faults_of(recipe(corpus, data={}), tmp_path)


def test_a_loss_that_leaps_ends_the_run_with_its_batch_kept(corpus: Path, tmp_path: Path) -> None:
    wild = {**STAGE, "learning_rate": 1e30, "max_grad_norm": None, "warmup_ratio": 0.0, "lr_scheduler_type": "constant"}
    with pytest.raises(HoneError) as caught:
        hone.run(recipe(corpus, stages=[wild]), out=tmp_path / "run")
    assert caught.value.code == "train.loss-not-finite"
    [kept] = (tmp_path / "run" / "stages").glob("*-pretrain/stopped-at-*.safetensors")
    assert str(kept) in str(caught.value)
    assert f"{corpus}:" in str(caught.value)  # and the line of each document
    assert {"0.input_ids", "0.gold"} <= load_file(kept).keys()


def test_a_task_and_text_without_labels_are_learned_together(
    corpus: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    data = {"corpus": named(corpus), "train": str(texts["train"]), "test": str(texts["test"])}
    joint = {"objective": ["mlm", {"name": "sop", "weight": 0.5}], "on": "corpus", "weight": 0.3, "schedule": "falling"}
    stage = {"kind": "finetune", "max_steps": 4, "save_steps": None, "per_device_train_batch_size": 8}
    with_text, alone = (
        hone.run(recipe(corpus, data=data, task="text-classification", stages=[one, "evaluate"]), out=tmp_path / name)
        for name, one in (("joint", {**stage, "joint": joint}), ("alone", stage))
    )
    assert with_text.bundle is not None
    assert alone.bundle is not None
    manifests = [result.bundle.manifest for result in (with_text, alone) if result.bundle is not None]
    assert [record.role for record in manifests[0].lineage.data] == ["train", "validation", "corpus"]
    assert [record.role for record in manifests[1].lineage.data] == ["train", "validation"]
    weights = [load_file(result.bundle.path / "model.safetensors") for result in (with_text, alone) if result.bundle]
    assert weights[0].keys() == weights[1].keys()  # the heads of the objectives are not kept
    assert any(not weights[0][name].equal(weights[1][name]) for name in weights[0])
    wrong = {**stage, "joint": {"objective": ["mlm", "mlm"]}, "method": "lora"}
    values = recipe(corpus, data=data, task="text-classification", stages=[wrong])
    assert {
        ("recipe.objective", "stages.0.joint.objective"),
        ("recipe.no-split", "stages.0.joint.on"),
        ("recipe.joint", "stages.0.joint"),
    } <= faults_of(values, tmp_path)

"""An adapter on the command line: tuned, answered with, merged; what cannot be had ends with 2, what differs with 3."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from ended import Hone

from hone.bundle.bundle import Bundle
from hone.cli.main import main
from hone.models.tiny import write_tiny_base
from hone.predict.predictor import load


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle tuned by lora. Never write into it: copy it."""
    folder = tmp_path_factory.mktemp("adapter")
    rows = [{"text": f"{word} {end}", "label": word} for word in ("refund", "password") for end in "abcdefghij"]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.environ["HONE_CACHE"] = str(folder / "cache")
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(folder / "train.jsonl"), "--out", str(folder / "bundle"), "--base", str(tiny_base),
              "method=lora", "method.r=4", "learning_rate=1e-2", "max_steps=2"])  # fmt: skip
    assert ended.value.code == 0
    return folder / "bundle"


def test_a_method_and_its_settings_are_given_as_arguments(adapter: Path) -> None:
    (part, _) = Bundle.open(adapter).manifest.parts
    assert (part.role, part.name, part.settings["r"]) == ("adapter", "lora", 4)


def test_predict_and_evaluate_take_an_adapter_as_any_bundle(run: Hone, adapter: Path) -> None:
    train = adapter.parent / "train.jsonl"
    ended = run("predict", adapter, train)
    assert (ended.code, len(ended.out.splitlines())) == (0, 20)
    assert run("evaluate", adapter, train).code == 0


def test_the_base_can_be_named(run: Hone, adapter: Path, tiny_base: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(adapter, tmp_path / "moved", ignore=shutil.ignore_patterns("attachments"))
    train = adapter.parent / "train.jsonl"
    ended = run("predict", moved, train)
    assert (ended.code, "--base" in ended.err) == (2, True)
    assert run("predict", moved, train, "--base", tiny_base).code == 0


def test_another_base_is_refused_by_its_digest(run: Hone, adapter: Path, tmp_path: Path) -> None:
    other, train = write_tiny_base(tmp_path / "other", seed=9), adapter.parent / "train.jsonl"
    for arguments in (
        ["predict", adapter, train], ["evaluate", adapter, train], ["merge", adapter, "--out", tmp_path / "merged"]
    ):  # fmt: skip
        ended = run(*arguments, "--base", other)
        assert (ended.code, ended.out) == (2, "")
        assert f"expected {Bundle.open(adapter).manifest.requires[0].digest}" in ended.err.lower()
    assert not (tmp_path / "merged").exists()


def test_merge_writes_a_plain_bundle_and_says_how_far_it_is_from_its_parent(
    run: Hone, adapter: Path, tmp_path: Path
) -> None:
    validation = adapter.parent / "train.jsonl"
    ended = run("merge", adapter, "--out", tmp_path / "merged", "--validation", validation, "--json")
    assert ended.code == 0
    measures = {measure["name"]: measure["value"] for measure in ended.object()["measures"]}
    assert measures["agreement"] == 1.0
    assert measures["max_logit_difference"] < 1e-4
    merged = Bundle.open(tmp_path / "merged")
    assert (merged.path / "attachments" / "merge.json").is_file()
    assert Bundle.open(adapter).digest in merged.manifest.lineage.parents
    texts = ["refund a", "password b"]
    assert [a["label"] for a in load(merged.path).predict(texts)] == [a["label"] for a in load(adapter).predict(texts)]


def test_merge_beyond_the_tolerance_writes_nothing(run: Hone, adapter: Path, tmp_path: Path) -> None:
    ended = run("merge", adapter, "--out", tmp_path / "merged", "tolerance=1e-12")
    assert (ended.code, "at most 1e-12" in ended.err) == (3, True)
    assert not (tmp_path / "merged").exists()
    assert not list(tmp_path.glob(".merge*"))


@pytest.mark.parametrize("command", [["merge"], ["compress", "train.jsonl", "--method", "int8"]])
def test_what_is_no_bundle_of_the_kind_ends_with_2(
    command: list[str], run: Hone, adapter: Path, copy: Path, tmp_path: Path
) -> None:
    name, *rest = command
    given = copy if name == "merge" else adapter
    ended = run(name, given, *(adapter.parent / r if r.endswith("jsonl") else r for r in rest), "--out", tmp_path / "x")
    assert ended.code == 2
    assert not (tmp_path / "x").exists()


def test_an_adapter_is_no_base(run: Hone, adapter: Path, tmp_path: Path) -> None:
    ended = run("finetune", adapter.parent / "train.jsonl", "--base", adapter, "--out", tmp_path / "x")
    assert (ended.code, "hone merge" in ended.err) == (2, True)

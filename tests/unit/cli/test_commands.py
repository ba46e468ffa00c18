"""Every command but predict: what it prints where, what it writes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from ended import Hone

import hone
from hone.bundle.bundle import Bundle
from hone.pipeline.recipe import load_recipe
from hone.report.report import Report
from hone.tasks.table import TASKS


def test_run_prints_one_object_and_leaves_bundle_reports_and_recipe(run: Hone, recipe: Path, tmp_path: Path) -> None:
    ended = run("run", recipe, "seed=4", "--out", tmp_path / "out", "--json")
    assert ended.code == 0
    found = ended.object()
    assert found["bundle"] == str(tmp_path / "out" / "bundle")
    assert found["out"] == str(tmp_path / "out")
    assert list(found["reports"]) == ["inspect", "finetune", "evaluate"]
    bundle = Bundle.open(tmp_path / "out" / "bundle")
    assert found["reports"]["evaluate"]["bundle"] == bundle.digest
    assert bundle.manifest.lineage.seed == 4
    assert load_recipe(tmp_path / "out" / "recipe.yaml").seed == 4
    assert "finetune ..." in ended.err


def test_run_in_words_names_where_things_lie(run: Hone, recipe: Path, tmp_path: Path) -> None:
    ended = run("run", recipe, "--out", tmp_path / "out")
    assert ended.code == 0
    assert str(tmp_path / "out" / "bundle") in ended.out
    assert str(tmp_path / "out" / "reports" / "00-inspect.html") in ended.out


def test_inspect_prints_one_object(run: Hone, texts: dict[str, Path], tiny_base: Path) -> None:
    ended = run("inspect", texts["train"], texts["test"], "--base", tiny_base, "--json")
    assert ended.code == 0
    report = Report.model_validate(ended.object())
    assert report.stage == "inspect"
    assert [row[:2] for row in report.tables["splits"].rows] == [["train", 72], ["test", 24]]
    assert report.tables["cost"].rows


def test_inspect_names_further_files_in_their_order(run: Hone, texts: dict[str, Path], tiny_base: Path) -> None:
    files = [texts["train"], *[texts["test"]] * 3]
    report = Report.model_validate(run("inspect", *files, "--base", tiny_base, "--json").object())
    assert [row[0] for row in report.tables["splits"].rows] == ["train", "test", "data3", "data4"]


def test_inspect_writes_its_report_where_out_says(
    run: Hone, tagged: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    ended = run("inspect", tagged["train"], "--task", "token-classification", "--base", tiny_base, "--out",
                tmp_path / "deep" / "found")  # fmt: skip
    assert ended.code == 0
    assert Report.read(tmp_path / "deep" / "found" / "inspect.json").facts["task"] == "token-classification"
    assert (tmp_path / "deep" / "found" / "inspect.html").read_text().startswith("<!DOCTYPE html>")
    assert str(tmp_path / "deep" / "found" / "inspect.html") in ended.out


def test_finetune_writes_the_bundle_and_keeps_the_rest_beside_it(
    run: Hone, tagged: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    ended = run("finetune", tagged["train"], "--out", tmp_path / "b", "--task", "token-classification", "--base",
                tiny_base, "--validation", tagged["test"], "--seed", 3, "max_steps=1", "task.head=crf",
                "--json")  # fmt: skip
    assert ended.code == 0
    bundle = Bundle.open(tmp_path / "b")
    assert ended.object()["bundle"] == bundle.digest
    assert ended.object()["stage"] == "finetune"
    assert bundle.manifest.lineage.seed == 3
    assert [record.role for record in bundle.manifest.lineage.data] == ["train", "validation"]
    assert bundle.manifest.task is not None
    assert bundle.manifest.task.settings["head"] == "crf"
    assert (tmp_path / "b.run" / "reports" / "01-finetune.html").is_file()


def test_finetune_in_words_names_what_it_wrote_and_what_the_data_are_warned_of(
    run: Hone, tiny_base: Path, tmp_path: Path
) -> None:
    train = tmp_path / "train.csv"
    train.write_text("text,label\n退款还没有到,refund\n密码不对,password\n", encoding="utf-8")
    ended = run("finetune", train, "--out", tmp_path / "b", "--base", tiny_base, "--validation", "none", "max_steps=1")
    assert ended.code == 0
    warning, bundle, *reports = ended.out.splitlines()
    assert warning.startswith("! THE BASE")
    assert bundle == f"bundle   {tmp_path / 'b'}"
    assert [Path(line.split()[-1]).is_file() for line in reports] == [True, True]


def test_evaluate_prints_one_object_and_leaves_the_bundle_as_it_is(
    run: Hone, copy: Path, texts: dict[str, Path]
) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    ended = run("evaluate", copy, texts["test"], "worst=1", "--json")
    assert ended.code == 0
    report = Report.model_validate(ended.object())
    assert report.bundle == Bundle.open(copy).digest
    assert {m.name for m in report.measures} >= {"accuracy", "macro_f1"}
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_evaluate_keeps_predictions_where_out_says(
    run: Hone, copy: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    ended = run("evaluate", copy, texts["test"], "--out", tmp_path / "out")
    assert ended.code == 0
    assert str(tmp_path / "out" / "reports" / "00-evaluate.html") in ended.out.splitlines()[-1]
    assert len((tmp_path / "out" / "stages" / "00-evaluate" / "predictions.jsonl").read_text().splitlines()) == 24
    assert (tmp_path / "out" / "reports" / "00-evaluate.html").is_file()


def test_faults_of_one_stage_are_told_by_the_key_that_was_given(
    run: Hone, copy: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    for ended in (
        run("evaluate", copy, texts["test"], "worts=1"),
        run("finetune", texts["train"], "--out", tmp_path / "b", "--base", tiny_base, "freeze_layers=9"),
    ):
        assert ended.code == 2
        assert "stages." not in ended.err
        assert "worts" in ended.err or "freeze_layers" in ended.err
        assert "recipe" not in ended.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has the device that is asked for")
def test_every_command_that_computes_takes_a_device(
    run: Hone, copy: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    for arguments in (
        ("finetune", texts["train"], "--out", tmp_path / "b", "--base", tiny_base),
        ("evaluate", copy, texts["test"]),
        ("compress", copy, texts["train"], "--method", "vocabulary", "--out", tmp_path / "c"),
    ):
        ended = run(*arguments, "--device", "cuda")
        assert ended.code == 2
        assert "cuda" in ended.err


def test_evaluate_refuses_settings_of_the_task(run: Hone, copy: Path, texts: dict[str, Path]) -> None:
    ended = run("evaluate", copy, texts["test"], "task.max_length=8")
    assert ended.code == 2
    assert "max_length" in ended.err


@pytest.mark.parametrize("argument", ["worst", "=3"])
def test_an_argument_that_is_no_setting_is_told(run: Hone, copy: Path, texts: dict[str, Path], argument: str) -> None:
    ended = run("evaluate", copy, texts["test"], argument)
    assert ended.code == 2
    assert repr(argument) in ended.err
    assert ended.out == ""


def test_bench_prints_one_object_and_writes_its_page(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    ended = run("bench", text_bundle, texts["test"], "--texts", 12, "--repeats", 2, "--out", tmp_path / "out", "--json")
    assert ended.code == 0
    report = Report.model_validate(ended.object())
    assert report.facts["texts"] == 12
    assert [row[0] for row in report.tables["speed"].rows] == ["hone", "transformers", "ONNX Runtime"]
    assert "exporting the model for ONNX Runtime" in ended.err
    assert "hone" in (tmp_path / "out" / "bench.html").read_text()


def test_verify_prints_one_object(run: Hone, text_bundle: Path) -> None:
    bundle = Bundle.open(text_bundle)
    ended = run("verify", text_bundle, "--json")
    assert ended.code == 0
    assert ended.object() == {"bundle": bundle.digest, "files": len(bundle.manifest.files), "verified": True}


def test_verify_in_words_names_digest_task_and_what_transformers_gets(run: Hone, tag_bundle: Path) -> None:
    ended = run("verify", tag_bundle)
    assert ended.code == 0
    assert all(word in ended.out for word in (Bundle.open(tag_bundle).digest, "token-classification", "hidden"))


@pytest.mark.parametrize("task", TASKS)
def test_init_writes_a_recipe_to_stdout(run: Hone, task: str, tmp_path: Path) -> None:
    ended = run("init", task)
    assert ended.code == 0
    (tmp_path / "recipe.yaml").write_text(ended.out)
    assert load_recipe(tmp_path / "recipe.yaml").task.name == task


def test_init_list_names_the_tasks_and_stages_with_a_sample(run: Hone) -> None:
    assert run("init", "list").out.split() == sorted([*TASKS, "pretrain", "prefer", "reinforce"])


def test_init_of_an_unknown_task_is_told(run: Hone) -> None:
    ended = run("init", "text-clasification")
    assert (ended.code, ended.out) == (2, "")
    assert "'text-classification'" in ended.err


def test_env_tells_versions_and_no_secret(run: Hone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HOME", "/home/somebody/.cache/huggingface")
    monkeypatch.setenv("HONE_CACHE", "/data/somebody/hone")
    monkeypatch.setenv("HF_ENDPOINT", "https://somebody:hf_secret@mirror.example")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    ended = run("env", "--json")
    facts = ended.object()
    assert facts["hone"] == hone.__version__
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (facts["OMP_NUM_THREADS"], facts["HF_HOME"]) == ("2", "set")
    assert all(isinstance(value, str) for value in facts.values())
    in_words = run("env").out
    assert all(name in in_words for name in facts)
    for text in (ended.out, in_words):
        assert "somebody" not in text
        assert "secret" not in text
        assert os.fspath(Path.cwd()) not in text


def test_env_says_what_is_not_installed(run: Hone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.cli.environment.PACKAGES", ("numpy", "no-such-package"))
    assert run("env", "--json").object()["no-such-package"] == "not installed"


def test_serve_of_no_bundle_is_told(run: Hone, tmp_path: Path) -> None:
    ended = run("serve", tmp_path / "nothing")
    assert ended.code == 2
    assert str(tmp_path / "nothing") in ended.err


def test_serve_without_its_packages_says_how_to_install_them(
    run: Hone, text_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ended = run("serve", text_bundle)
    assert ended.code == 2
    assert "uvicorn" in ended.err
    assert "pip install 'hone[serve]'" in ended.err


def test_finetune_of_a_missing_file_is_told(run: Hone, tmp_path: Path, tiny_base: Path) -> None:
    ended = run("finetune", tmp_path / "gone.jsonl", "--out", tmp_path / "b", "--base", tiny_base)
    assert (ended.code, ended.out) == (2, "")
    assert "gone.jsonl" in ended.err
    assert not (tmp_path / "b").exists()


def test_evaluate_of_a_base_without_task_is_told(run: Hone, copy: Path, texts: dict[str, Path]) -> None:
    from hone.bundle.bundle import MANIFEST
    from hone.core.lineage import digest_value

    raw = json.loads((copy / MANIFEST).read_text())
    raw["task"] = None
    raw["digest"] = digest_value({key: value for key, value in raw.items() if key != "digest"})
    (copy / MANIFEST).write_text(json.dumps(raw))
    ended = run("evaluate", copy, texts["test"])
    assert ended.code == 2
    assert str(copy) in ended.err
    assert "no task" in run("verify", copy).out

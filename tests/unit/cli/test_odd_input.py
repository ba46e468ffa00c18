"""Files whose columns are called otherwise, pipes, blank lines, folders that are not there yet."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from ended import Hone

import hone
from hone.bundle.bundle import Bundle
from hone.report.report import Report


@pytest.fixture
def renamed(texts: dict[str, Path]) -> Path:
    """The test rows under Chinese column names."""
    path = texts["test"].with_name("renamed.jsonl")
    rows = [json.loads(line) for line in texts["test"].read_text().splitlines()]
    path.write_text("".join(json.dumps({"文本": r["text"], "类别": r["label"]}) + "\n" for r in rows))
    return path


NAMES = ("--column", "text=文本", "--column", "label=类别")


def test_predict_reads_columns_that_are_called_otherwise(
    run: Hone, text_bundle: Path, texts: dict[str, Path], renamed: Path
) -> None:
    ended = run("predict", text_bundle, renamed, "--column", "text=文本")
    assert ended.code == 0
    assert ended.lines() == run("predict", text_bundle, texts["test"]).lines()


def test_evaluate_reads_columns_that_are_called_otherwise(
    run: Hone, copy: Path, texts: dict[str, Path], renamed: Path
) -> None:
    plain, other = (run("evaluate", copy, *more, "--json").object() for more in ([texts["test"]], [renamed, *NAMES]))
    assert other["measures"] == plain["measures"]


def test_inspect_reads_columns_that_are_called_otherwise(run: Hone, renamed: Path, tiny_base: Path) -> None:
    ended = run("inspect", renamed, renamed, *NAMES, "--base", tiny_base, "--json")
    assert [row[:2] for row in Report.model_validate(ended.object()).tables["splits"].rows] == [
        ["train", 24],
        ["test", 24],
    ]


def test_finetune_reads_columns_that_are_called_otherwise(
    run: Hone, renamed: Path, tiny_base: Path, tmp_path: Path
) -> None:
    ended = run("finetune", renamed, "--validation", renamed, *NAMES, "--base", tiny_base, "--out", tmp_path / "b",
                "max_steps=1")  # fmt: skip
    assert ended.code == 0
    record = Bundle.open(tmp_path / "b").manifest.task
    assert record is not None
    assert set(record.labels) == {"refund", "password", "broken"}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_column_for_an_unknown_field_is_refused(run: Hone, text_bundle: Path, renamed: Path, command: str) -> None:
    ended = run(command, text_bundle, renamed, "--column", "txt=文本")
    assert (ended.code, ended.out) == (2, "")
    assert "'txt'" in ended.err
    assert "Did you mean 'text'?" in ended.err


@pytest.mark.parametrize("argument", ["text", "=x", "text="])
def test_a_column_without_field_or_name_is_refused(run: Hone, text_bundle: Path, renamed: Path, argument: str) -> None:
    ended = run("predict", text_bundle, renamed, "--column", argument)
    assert (ended.code, ended.out) == (2, "")
    assert repr(argument) in ended.err


def test_a_field_has_one_column(run: Hone, text_bundle: Path, renamed: Path) -> None:
    ended = run("predict", text_bundle, renamed, "--column", "text=文本", "--column", "text=类别")
    assert (ended.code, ended.out) == (2, "")
    assert "'text'" in ended.err


@pytest.mark.parametrize("file", ["-", "/dev/stdin"])
def test_tokens_on_standard_input_are_tagged(
    run: Hone, tag_bundle: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    lines = b'{"tokens": ["Ada", "is"]}\n{"tokens": ["Bob"]}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    answers = run("predict", tag_bundle, file).lines()
    assert answers == hone.load(tag_bundle).predict([["Ada", "is"], ["Bob"]])
    assert [len(answer["tags"]) for answer in answers] == [2, 1]


def test_a_column_of_tokens_is_tagged(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.bio").write_text("Ada\nis\n\nBob\n")
    assert [len(answer["tags"]) for answer in run("predict", tag_bundle, tmp_path / "in.bio").lines()] == [2, 1]


@pytest.mark.parametrize("kind", ["text", "tag"])
def test_a_blank_line_gets_its_answer(
    run: Hone, kind: str, text_bundle: Path, tag_bundle: Path, tmp_path: Path
) -> None:
    bundle = text_bundle if kind == "text" else tag_bundle
    (tmp_path / "in.txt").write_text("\nforgot my password\n\n")
    answers = run("predict", bundle, tmp_path / "in.txt").lines()
    blank, word = hone.load(bundle).predict(["", "forgot my password"])
    assert answers == [blank, word, blank]


def test_predict_makes_the_folders_of_its_file(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("hello\n")
    assert run("predict", text_bundle, tmp_path / "in.txt", "--out", tmp_path / "new" / "dir" / "x.jsonl").code == 0
    assert len((tmp_path / "new" / "dir" / "x.jsonl").read_text().splitlines()) == 1


def test_predict_does_not_write_over_a_folder(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("hello\n")
    ended = run("predict", text_bundle, tmp_path / "in.txt", "--out", tmp_path)
    assert ended.code == 2
    assert str(tmp_path) in ended.err


def test_predict_reads_a_pipe(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("forgot my password\n",), daemon=True)
    writer.start()
    ended = run("predict", text_bundle, tmp_path / "pipe")
    writer.join()
    assert [answer["label"] for answer in ended.lines()] == ["password"]


def test_predict_of_a_missing_file_speaks_of_no_recipe(run: Hone, text_bundle: Path) -> None:
    ended = run("predict", text_bundle, "nothing-here.jsonl")
    assert ended.code == 2
    assert "nothing-here.jsonl" in ended.err
    assert "recipe" not in ended.err


@pytest.mark.parametrize("out", [".", "deep/.."])
def test_finetune_refuses_what_is_in_the_way_of_a_path_without_name(
    run: Hone, texts: dict[str, Path], tiny_base: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = texts["train"].parent
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    ended = run("finetune", texts["train"], "--out", out, "--base", tiny_base, "max_steps=1")
    assert (ended.code, ended.out) == (2, "")
    assert str(folder) in ended.err
    assert sorted(folder.rglob("*")) == before


def test_finetune_into_the_current_folder_fills_an_empty_one(
    run: Hone, texts: dict[str, Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    ended = run("finetune", texts["train"], "--out", ".", "--base", tiny_base, "max_steps=1")
    assert ended.code == 0
    assert Bundle.open(tmp_path / "new").manifest.task is not None
    assert (tmp_path / "new.run" / "reports").is_dir()


def test_an_unwritable_cache_is_told(
    run: Hone, texts: dict[str, Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HONE_CACHE", str(tmp_path / "file"))
    ended = run("inspect", texts["train"], "--base", tiny_base)
    assert ended.code == 1
    assert "HONE_CACHE" in ended.err
    assert str(tmp_path / "file") in ended.err


def test_version_is_printed(run: Hone) -> None:
    ended = run("--version")
    assert (ended.code, ended.out) == (0, f"hone {hone.__version__}\n")

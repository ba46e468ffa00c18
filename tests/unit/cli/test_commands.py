"""Every command: what it prints where, what it writes, how it ends."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.bundle.bundle import Bundle
from hone.cli import main as command
from hone.pipeline.recipe import load_recipe
from hone.report.report import Report
from hone.tasks.table import TASKS


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def object(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


Hone = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Hone]:
    """Run the command in this process; logging is put back afterwards."""
    logger = logging.getLogger("hone")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def call(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            command.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out, said.err)

    yield call
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def copy(text_bundle: Path, tmp_path: Path) -> Path:
    """A text bundle that may be written to."""
    return Path(shutil.copytree(text_bundle, tmp_path / "bundle"))


@pytest.fixture
def recipe(texts: dict[str, Path], tiny_base: Path) -> Path:
    path = texts["train"].parent / "recipe.yaml"
    path.write_text(
        f"version: 1\nname: small\ntask: text-classification\nbase: {tiny_base}\n"
        "data: {train: train.jsonl, test: test.jsonl}\nstages:\n  - {kind: finetune, max_steps: 1}\n  - evaluate\n"
    )
    return path


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


def test_finetune_in_words_names_the_bundle(run: Hone, texts: dict[str, Path], tiny_base: Path, tmp_path: Path) -> None:
    ended = run("finetune", texts["train"], "--out", tmp_path / "b", "--base", tiny_base, "--validation", "none",
                "max_steps=1")  # fmt: skip
    assert ended.code == 0
    assert str(tmp_path / "b") in ended.out.splitlines()[-1]


def test_evaluate_prints_one_object_and_attaches_it(run: Hone, copy: Path, texts: dict[str, Path]) -> None:
    ended = run("evaluate", copy, texts["test"], "worst=1", "--json")
    assert ended.code == 0
    report = Report.model_validate(ended.object())
    assert report.bundle == Bundle.open(copy).digest
    assert {m.name for m in report.measures} >= {"accuracy", "macro_f1"}
    assert Report.read(copy / "attachments" / "evaluate.json") == report


def test_evaluate_keeps_predictions_where_out_says(
    run: Hone, copy: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    assert run("evaluate", copy, texts["test"], "--out", tmp_path / "out").code == 0
    assert len((tmp_path / "out" / "stages" / "00-evaluate" / "predictions.jsonl").read_text().splitlines()) == 24
    assert (tmp_path / "out" / "reports" / "00-evaluate.html").is_file()


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


def test_predict_answers_a_file_line_by_line(run: Hone, text_bundle: Path, texts: dict[str, Path]) -> None:
    ended = run("predict", text_bundle, texts["test"])
    assert ended.code == 0
    rows = [json.loads(line)["text"] for line in texts["test"].read_text().splitlines()]
    assert [answer["label"] for answer in ended.lines()] == [a["label"] for a in hone.load(text_bundle).predict(rows)]
    assert list(ended.lines()[0]) == ["label", "score", "scores", "truncated"]


@pytest.mark.parametrize(
    "lines",
    [
        "please refund my order\nforgot my password\n",
        '{"text": "please refund my order"}\n{"text": "forgot my password"}\n',
    ],
)
@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_predict_answers_standard_input(
    run: Hone, text_bundle: Path, monkeypatch: pytest.MonkeyPatch, lines: str, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    ended = run("predict", text_bundle, *arguments)
    assert [answer["label"] for answer in ended.lines()] == ["refund", "password"]


def test_predict_reads_tokens_and_texts_with_a_tagging_bundle(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.jsonl").write_text('{"tokens": ["Ada", "is"]}\n')
    (tmp_path / "texts.jsonl").write_text('{"text": "Ada is"}\n')
    [by_tokens] = run("predict", tag_bundle, tmp_path / "tokens.jsonl").lines()
    [by_text] = run("predict", tag_bundle, tmp_path / "texts.jsonl").lines()
    assert by_tokens["entities"] == by_text["entities"]
    assert len(by_tokens["tags"]) == 2


def test_predict_tells_what_a_tagging_bundle_reads(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"body": "Ada is"}\n')
    ended = run("predict", tag_bundle, tmp_path / "odd.jsonl")
    assert (ended.code, ended.out) == (2, "")
    assert str(tmp_path / "odd.jsonl") in ended.err


def test_predict_names_the_faulty_line_of_a_tagging_file(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"tokens": ["Ada"]}\n{"tokens"\n')
    ended = run("predict", tag_bundle, tmp_path / "in.jsonl")
    assert ended.code == 2
    assert f"{tmp_path / 'in.jsonl'}:2" in ended.err


def test_predict_refuses_half_a_character_with_its_line(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n{"text": "\\ud83d"}\n')
    ended = run("predict", text_bundle, tmp_path / "in.jsonl")
    assert (ended.code, ended.out) == (2, "")
    assert f"{tmp_path / 'in.jsonl'}:2" in ended.err


def test_predict_of_blank_lines_answers_nothing(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n\n")
    ended = run("predict", tag_bundle, tmp_path / "in.jsonl")
    assert (ended.code, ended.out) == (0, "")


def test_predict_keeps_characters_as_they_are(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Zoë 在巴黎\n", encoding="utf-8")
    run("predict", tag_bundle, tmp_path / "in.txt", "--out", tmp_path / "out.jsonl")
    written = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert json.loads(written) == hone.load(tag_bundle).predict("Zoë 在巴黎")[0]
    assert "\\u" not in written


def test_predict_writes_a_file_that_appears_when_it_is_complete(
    run: Hone, text_bundle: Path, tmp_path: Path, texts: dict[str, Path]
) -> None:
    (tmp_path / "answers").mkdir()
    ended = run("predict", text_bundle, texts["test"], "--out", tmp_path / "answers" / "a.jsonl")
    assert (ended.code, ended.out) == (0, "")
    assert [p.name for p in (tmp_path / "answers").iterdir()] == ["a.jsonl"]
    assert len((tmp_path / "answers" / "a.jsonl").read_text().splitlines()) == 24
    assert (tmp_path / "answers" / "a.jsonl").stat().st_mode & 0o777 == 0o644


def test_predict_that_fails_leaves_the_old_answers(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n{"text": 5}\n')
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "a.jsonl").write_text("old")
    ended = run("predict", text_bundle, tmp_path / "in.jsonl", "--out", tmp_path / "answers" / "a.jsonl")
    assert ended.code == 2
    assert f"{tmp_path / 'in.jsonl'}:2" in ended.err
    assert {p.name: p.read_text() for p in (tmp_path / "answers").iterdir()} == {"a.jsonl": "old"}


def test_predict_of_nothing_answers_nothing(run: Hone, text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    ended = run("predict", text_bundle)
    assert ended.out == ""


def test_predict_refuses_a_device_that_is_not_there(run: Hone, text_bundle: Path, texts: dict[str, Path]) -> None:
    ended = run("predict", text_bundle, texts["test"], "--device", "tpu")
    assert ended.code == 2
    assert "'tpu'" in ended.err


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


def test_init_list_names_the_tasks(run: Hone) -> None:
    assert run("init", "list").out.split() == sorted(TASKS)


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


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["run"], ["verify"], ["verify", "x", "--jsn"], ["finetune", "x"], ["serve", "x", "--port", "many"]],
    ids=" ".join,
)
def test_arguments_that_make_no_command_end_with_2(run: Hone, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("hone: ")


def test_help_names_every_command(run: Hone) -> None:
    ended = run("--help")
    assert ended.code == 0
    assert all(name in ended.out for name in ("run", "inspect", "finetune", "evaluate", "predict", "serve", "verify",
                                              "init", "env"))  # fmt: skip


def test_no_arguments_show_the_help(run: Hone) -> None:
    ended = run()
    assert ended.code == 2
    assert "finetune" in ended.out + ended.err
    assert "hone: \n" not in ended.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (hone.HoneError("found x", code="c"), 1, "found x"),
        (hone.RecipeError("found x"), 2, "found x"),
        (hone.DataError("found x"), 2, "found x"),
        (hone.BundleError("found x"), 2, "found x"),
        (hone.DeviceError("found x"), 2, "found x"),
        (hone.MissingExtra("p", extra="serve", needed_for="it"), 2, "hone[serve]"),
        (hone.GateNotMet("found x"), 3, "found x"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (EOFError(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
        (MemoryError(), 1, "MemoryError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_end_has_its_exit_code(
    run: Hone, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def work(task: str) -> str:
        raise error

    monkeypatch.setattr("hone.pipeline.sample.sample_recipe", work)
    ended = run("init")
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ("Traceback" in ended.err) == isinstance(error, ZeroDivisionError | MemoryError)


def test_an_interruption_outside_the_command_is_one_too(run: Hone, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "app", stopped)
    assert run("init").code == 130


@pytest.mark.parametrize(
    ("flags", "level"),
    [([], logging.WARNING), (["-v"], logging.INFO), (["-vv"], logging.DEBUG), (["-v", "-v", "-v"], logging.DEBUG)],
)
def test_verbosity_sets_the_level_of_hones_own_log(run: Hone, flags: list[str], level: int) -> None:
    assert run(*flags, "init").code == 0
    assert logging.getLogger("hone").level == level


@pytest.mark.parametrize("as_json", [True, False])
def test_log_lines_go_to_stderr(run: Hone, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    def work(task: str) -> str:
        logging.getLogger("hone.test").info("found %s", "é")
        return "version: 1\n"

    monkeypatch.setattr("hone.pipeline.sample.sample_recipe", work)
    ended = run("-v", *(["--log-json"] if as_json else []), "init")
    assert ended.out == "version: 1\n"
    if as_json:
        assert json.loads(ended.err) == {"level": "info", "logger": "hone.test", "message": "found é"}
    else:
        assert ended.err == "INFO hone.test: found é\n"

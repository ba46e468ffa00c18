"""How every command ends: exit codes, help, and the log beside the results."""

from __future__ import annotations

import json
import logging
import signal
import sys

import pytest
from ended import Hone

import hone
from hone.cli import main as command


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
    assert all(name in ended.out for name in ("run", "inspect", "finetune", "evaluate", "predict", "serve", "bench",
                                              "verify", "init", "env"))  # fmt: skip


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


def test_sigterm_is_an_interruption(run: Hone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.pipeline.sample.sample_recipe", lambda task: signal.raise_signal(signal.SIGTERM))
    ended = run("init")
    assert (ended.code, ended.out, ended.err) == (130, "", "hone: interrupted\n")


def test_an_end_that_a_library_chose_keeps_its_code(run: Hone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.pipeline.sample.sample_recipe", lambda task: sys.exit(3))
    ended = run("init")
    assert (ended.code, ended.out, ended.err) == (3, "", "")


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

"""Progress: a bar on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from hone.cli import console
from hone.cli.console import Bar, Lines, make_progress
from hone.cli.logs import configure_logging


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bar), (False, Lines)])
def test_a_bar_is_drawn_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, kind: type) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert type(make_progress()) is kind


def test_with_a_log_in_json_every_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(0, as_json=True)
    try:
        progress = make_progress()
        progress.say('no "validation" split')
    finally:
        logging.getLogger("hone").handlers.clear()
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line) == {"level": "info", "logger": "hone.progress", "message": 'no "validation" split'}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(console, "time", clock)
    return clock


def test_lines_come_every_few_seconds_with_figures_and_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines()
    lines.begin("training", total=40, unit="step")
    lines.advance(1, loss=0.5)
    clock.now += 10
    lines.advance(9, loss=0.25, tokens_per_s=1234.5)
    lines.advance(1, loss=0.1)
    lines.finish()
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "training: 10 of 40 steps, loss 0.2500, tokens/s 1,234, 30 s left\n"


def test_lines_without_figures_leave_none_out(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.begin("evaluating", total=4, unit="row")
    clock.now += 20
    lines.advance(2)
    assert capsys.readouterr().err == "evaluating: 2 of 4 rows, 20 s left\n"


def test_a_second_piece_of_work_counts_anew(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for _ in range(2):
        lines.begin("work", total=2, unit="row")
        clock.now += 10
        lines.advance(1)
        lines.finish()
    assert capsys.readouterr().err == "work: 1 of 2 rows, 10 s left\n" * 2


@pytest.mark.parametrize("progress", [Bar, Lines])
def test_words_go_to_stderr_as_they_are(progress: type[Bar] | type[Lines], capsys: pytest.CaptureFixture[str]) -> None:
    progress().say("found 3 rows in [train]")
    assert capsys.readouterr() == ("", "found 3 rows in [train]\n")


def test_a_bar_runs_from_begin_to_finish(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.advance(1)
    bar.begin("training", total=2, unit="step")
    bar.advance(1, loss=0.5)
    bar.say("between")
    bar.finish()
    bar.finish()
    bar.begin("evaluating", total=1, unit="row")
    bar.advance(1)
    bar.finish()
    out, err = capsys.readouterr()
    assert out == ""
    assert "between" in err

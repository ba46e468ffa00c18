"""What the command says while it works: a bar on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hone.cli.logs import json_line, logs_json
from hone.core.processes import place
from hone.core.progress import Silent

LINE_EVERY_SECONDS = 10.0


def make_progress() -> Bar | Lines | Silent:
    """A bar where stderr is a terminal, plain lines where it is not, JSON lines where the log is in JSON; of several
    processes the first alone says anything."""
    if not place().first:
        return Silent()
    if logs_json():
        return JsonLines()
    return Bar() if sys.stderr.isatty() else Lines()


class Bar:
    """Progress drawn with rich."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def say(self, words: str) -> None:
        self._console.print(words, markup=False, emoji=False, soft_wrap=True)  # [train] is a word, no style

    def begin(self, what: str, *, total: int, unit: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(what, total=total, figures="")

    def advance(self, units: int, **figures: float) -> None:
        if self._bar is not None:
            self._bar.update(self._task, advance=units, figures=_figures(figures))

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Lines:
    """Progress in plain lines, one every few seconds."""

    def __init__(self) -> None:
        self._what, self._unit, self._total, self._done = "", "", 0, 0
        self._began = self._said = 0.0

    def say(self, words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    def begin(self, what: str, *, total: int, unit: str) -> None:
        self._what, self._unit, self._total, self._done = what, unit, total, 0
        self._began = self._said = time.monotonic()

    def advance(self, units: int, **figures: float) -> None:
        self._done += units
        now = time.monotonic()
        if now - self._said < LINE_EVERY_SECONDS:
            return
        self._said = now
        left = (now - self._began) / max(1, self._done) * (self._total - self._done)
        parts = [f"{self._what}: {self._done} of {self._total} {self._unit}s", _figures(figures), f"{left:.0f} s left"]
        self.say(", ".join(part for part in parts if part))

    def finish(self) -> None:
        self._total = 0


class JsonLines(Lines):
    """The same lines, one JSON object each."""

    def say(self, words: str) -> None:
        print(json_line("info", "hone.progress", words), file=sys.stderr, flush=True)


def _figures(figures: dict[str, float]) -> str:
    names = {"tokens_per_s": "tokens/s"}
    return ", ".join(
        f"{names.get(name, name)} {value:,.0f}" if value >= 100 else f"{names.get(name, name)} {value:.4f}"
        for name, value in figures.items()
    )

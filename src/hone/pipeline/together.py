"""A recipe that several processes run together: all read it, those stages that can be shared all train, and the rest,
with everything that is written, is the first one's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.bundle.bundle import MANIFEST, Bundle
from hone.bundle.stage import Outcome, Run, Stage
from hone.core.errors import HoneError
from hone.core.processes import place
from hone.report.report import Report

if TYPE_CHECKING:
    from hone.train.processes import Processes

SEEN_WITHIN_SECONDS = 60.0  # what one machine wrote to a folder that others share


def join(device: str) -> None:
    """Join the other processes of this command, where there are any.

    Raises:
        DeviceError: The device is none that they can share.
    """
    if place().count > 1:
        from hone.predict.device import pick_device
        from hone.train import processes

        processes.join(place(), pick_device(device))


@contextmanager
def first_goes_first() -> Iterator[None]:
    """Within it the first process works before the others; see `hone.train.processes.Processes.in_turn`."""
    with nullcontext() if place().count == 1 else _processes().in_turn():
        yield


def require_seen(file: Path) -> None:
    """Make sure that every process sees ``file``, which the first has written.

    Raises:
        HoneError: One does not.
    """
    if place().count == 1:
        return
    _processes().wait()
    if _processes().any(not _seen(file)):
        raise HoneError(
            f"not every process sees {file}, which the first one wrote",
            expected="a folder that all machines share",
            fix="Name one with --out.",
            code="launch.folder",
        )


def outcome_of(stage: Stage, run: Run, work: Callable[[Run], Outcome]) -> Outcome:
    """What ``work`` makes of a stage: in one process, in several together, or in the first of them while the others
    wait; the outcome is known to all."""
    here = place()
    if here.count == 1:
        return work(run)
    from hone.train.processes import Released

    outcome: Outcome | None = None
    if stage.shared:
        try:
            outcome = work(replace(run, place=here))
        except Released:
            outcome = None
    elif here.first:
        outcome = work(run)

    def told() -> dict[str, Any]:
        assert outcome is not None, stage.kind
        made = None if outcome.bundle is None else str(outcome.bundle.path)
        return {"report": outcome.report.model_dump(mode="json"), "bundle": made}

    found = _processes().told(told)
    if outcome is not None:
        return outcome
    if found["bundle"] is None:
        return Outcome(Report.model_validate(found["report"]))
    _seen(Path(found["bundle"]) / MANIFEST)
    return Outcome(Report.model_validate(found["report"]), Bundle.open(Path(found["bundle"])))


def _seen(file: Path) -> bool:
    """Whether this process sees ``file``, which the first has written, at once or after a while."""
    until = time.monotonic() + SEEN_WITHIN_SECONDS
    while not file.is_file() and time.monotonic() < until:
        time.sleep(0.1)
    return file.is_file()


def _processes() -> Processes:
    from hone.train.processes import Processes

    return Processes(place())

"""A stage says what it reads, and one that makes something may not read test."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from hone.bundle.stage import Inputs, Outcome, Run, Stage, TaskChoice
from hone.core.settings import Settings
from hone.report.report import Report


@pytest.mark.parametrize("changes", ["model", "decision"])
def test_a_stage_that_changes_something_may_not_read_test(changes: Literal["model", "decision"]) -> None:
    with pytest.raises(ValueError, match="may not read test"):
        Stage(kind="tune", settings=Settings, reads=("train", "test"), changes=changes, work="m:f")


def test_a_judge_may_read_test() -> None:
    assert Stage(kind="judge", settings=Settings, reads=("test",), changes="nothing", work="m:f").reads == ("test",)


def echo(settings: Settings, inputs: Inputs, run: Run) -> Outcome:
    return Outcome(Report(stage="echo", facts={"seed": run.seed, "task": inputs.task.name}))


def test_a_stage_runs_the_work_it_names(tmp_path: Path) -> None:
    stage = Stage(kind="echo", settings=Settings, reads=(), changes="nothing", work=f"{__name__}:echo")
    inputs = Inputs(task=TaskChoice("text-classification", Settings()), base=None, data={})
    run = Run(seed=7, device="cpu", folder=tmp_path, target=tmp_path, cache=tmp_path)
    outcome = stage.run(Settings(), inputs, run)
    assert outcome.report.facts == {"seed": 7, "task": "text-classification"}
    assert outcome.bundle is None

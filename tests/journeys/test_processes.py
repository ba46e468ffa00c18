"""Two processes do what one does: the same losses step by step, one bundle, and a killed one is told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from several_processes import FINETUNE, PRETRAIN, Interrupted, Killed, Saying, losses, recipes, together

import hone
from hone.core import processes
from hone.core.errors import HoneError
from hone.core.progress import Silent
from hone.report.report import Report


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    return recipes(tmp_path_factory.mktemp("rows"))


def test_two_processes_have_the_losses_of_one_and_leave_one_bundle(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Masks of dropout, layers made again on the way back and rows of a table that move late included."""
    values = recipe(PRETRAIN, FINETUNE, "evaluate")
    values["data"]["test"] = values["data"]["validation"]
    result = hone.run(values, out=tmp_path / "one")
    assert together(values, tmp_path / "two", Silent(), Silent()) == ["", ""]
    for stage, steps in (("pretrain", 12), ("finetune", 50)):
        one, two = losses(tmp_path / "one", stage), losses(tmp_path / "two", stage)
        assert len(one) == len(two) == steps
        assert two == pytest.approx(one, abs=1e-4)
        assert one[-1] < one[0] - 0.05
    measured = Report.read(next((tmp_path / "two" / "reports").glob("*-evaluate.json"))).measures
    assert [m.value for m in measured[:1]] == pytest.approx([m.value for m in result.reports["evaluate"].measures[:1]])
    assert [path.name for path in tmp_path.glob("two/stages/*/log.jsonl")] == ["log.jsonl"] * 2


def test_a_killed_process_ends_the_other_with_an_error_and_one_process_goes_on_from_their_checkpoint(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """With techniques that act on the weights of a step; the second process has no batch of an epoch's last."""
    values = recipe({**FINETUNE, "max_steps": 10, "save_steps": 4, "techniques": ["mixout", "gradual-unfreezing"]})
    hone.run(values, out=tmp_path / "whole")
    first, second = together(values, tmp_path / "out", Silent(), Killed(6))
    assert second is None
    assert first is not None
    assert first.startswith("train.process-lost another process of this training has ended")
    progress = Saying()
    hone.run(values, out=tmp_path / "out", progress=progress)
    assert any(line.startswith("resuming at step 4") and line.endswith(", which 2 shared") for line in progress.said)
    assert losses(tmp_path / "out", "finetune") == pytest.approx(losses(tmp_path / "whole", "finetune"), abs=1e-4)


def test_an_interrupt_of_one_process_ends_both_after_the_same_step_whose_checkpoint_is_there(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    values = recipe({**FINETUNE, "max_steps": 10})
    assert together(values, tmp_path / "out", Silent(), Interrupted(3)) == ["interrupted"] * 2
    assert [path.name for path in tmp_path.glob("out/stages/*/checkpoints/*")] == ["step-000000003"]


def test_more_processes_than_batches_of_a_step_are_refused(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    values = recipe({**FINETUNE, "gradient_accumulation_steps": 1})
    first, _ = together(values, tmp_path / "out", Silent(), Silent())
    assert first is not None
    assert first.startswith("launch.batches")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("told", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}])
def test_an_environment_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, told: dict[str, str]) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HoneError) as raised:
        processes.place()
    assert raised.value.code == "launch.environment"

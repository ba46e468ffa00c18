"""Two processes do what one does: the same losses step by step, one bundle, and a killed one is told of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from several_processes import FINETUNE, PRETRAIN, Interrupted, Killed, Saying, log_of, losses, recipes, together
from torch import Tensor, nn

import hone
from hone.core import processes
from hone.core.errors import HoneError
from hone.core.progress import Silent
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_writer
from hone.report.report import Report


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    return recipes(tmp_path_factory.mktemp("rows"))


def test_two_processes_have_the_losses_of_one_and_leave_one_bundle(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Masks of dropout, hone's own and those that torch draws for the head, layers made again on the way back and
    rows of a table that move late included."""
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


def test_preferring_and_reinforcing_are_shared_too(tmp_path: Path, text_bundle: Path) -> None:
    """What the reference says, texts that are drawn and what they are worth: the same in two processes as in one; of
    preferring also where they divide the weights, and an adapter learns."""
    words = ["card", "phone", "screen", "money", "bank", "email"]
    rows = {
        "train": [{"text": f"my {word} is broken"} for word in words],
        "pairs": [{"prompt": f"my {word}", "chosen": " is good", "rejected": " is bad"} for word in words],
        "unlabeled": [{"prompt": f"my {word} is"} for word in words],
    }
    for name, those in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in those), encoding="utf-8")
    step = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 3, "num_train_epochs": 9,
            "logging_steps": 1, "save_steps": None, "learning_rate": 1e-2}  # fmt: skip
    values: dict[str, Any] = {
        "version": 1,
        "base": str(write_tiny_writer(tmp_path / "base", kind="gpt2")),
        "task": {"name": "text-generation", "decoding": {"max_new_tokens": 4}},
        "device": "cpu",
        "data": {
            **{name: str(tmp_path / f"{name}.jsonl") for name in rows},
            "validation": "none",
            "validation_pairs": "none",
        },  # fmt: skip
        "stages": [
            {"kind": "finetune", **step, "dropout": 0.0},
            {"kind": "reinforce", **step, "reward": str(text_bundle), "label": "refund"},
            {"kind": "prefer", **step, "dropout": 0.0, "method": "lora"},
        ],
    }
    hone.run(values, out=tmp_path / "one")
    values["stages"][2]["parallel"] = {"shard": "full"}
    assert together(values, tmp_path / "two", Silent(), Silent()) == ["", ""]
    for stage in ("prefer", "reinforce"):
        one, two = (log_of(tmp_path / out, stage) for out in ("one", "two"))
        assert len(one) == 3
        for figure in ("loss", "gradient_norm", *(["reward", "log_ratio"] if stage == "reinforce" else [])):
            assert [line[figure] for line in two] == pytest.approx([line[figure] for line in one], abs=1e-4)


def test_a_killed_process_ends_the_other_with_an_error_and_one_process_goes_on_from_their_checkpoint(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """With dropout, and techniques that act on the weights of a step; the second process has no batch of an epoch's
    last."""
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


def broken_in_the_second(*given: Any, **more: Any) -> Model:
    """A model whose gradients are infinite in the second process, after two batches."""
    model, batches = build_model(*given, **more), iter(range(99))

    def infinite(_: nn.Module, read: tuple[Tensor, ...], made: Tensor) -> None:
        if made.requires_grad and processes.place().number == 1 and next(batches) >= 2:
            made.register_hook(lambda gradient: gradient * float("inf"))

    [*filter(lambda part: isinstance(part, nn.Linear), model.modules())][-1].register_forward_hook(infinite)
    return model


@pytest.mark.parametrize("more", [{}, {"parallel": {"shard": "full"}}], ids=["whole", "divided"])
def test_an_infinite_gradient_in_one_process_ends_both_before_it_moves_a_weight(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path, more: dict[str, Any]
) -> None:
    values = recipe({**FINETUNE, "max_steps": 10, "save_steps": 1, **more})
    patched = {"hone.train.finetune.build_model": broken_in_the_second}
    said = together(values, tmp_path / "out", Silent(), Silent(), patched=patched)
    assert all((one or "").startswith("train.gradient-not-finite the norm of the gradients at step 3 ") for one in said)
    assert [path.name for path in tmp_path.glob("out/stages/*/checkpoints/*")] == ["step-000000002"]
    assert len([*tmp_path.glob("out/stages/*/stopped-at-3-process-*.safetensors")]) == 2


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

"""Checkpoints: all of a run bit for bit, of this run alone, whole or not at all, and a damaged one is named."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_bench import Bench, same, state_of

from hone.core.errors import HoneError
from hone.train.checkpoint import Position, latest_checkpoint, load_checkpoint, save_checkpoint
from hone.train.loop import Loop
from hone.train.sharing import resumed

FILES = ["best.safetensors", "model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]


def trained(bench: Bench, **settings: Any) -> Loop:
    """A loop after three steps, so that the optimizer has moments."""
    loop = bench.loop(max_steps=3, logging_steps=1, **settings)
    bench.run(loop)
    return loop


def save(loop: Loop, folder: Path, *, position: Position, best: dict[str, Tensor] | None = None) -> None:
    save_checkpoint(
        folder, position=position, state=loop.model.state_dict(), optimizer=loop.optimizer, best=best, techniques={}
    )


@pytest.fixture
def loop(bench: Bench) -> Loop:
    return trained(bench)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("optim", ["adamw", "adafactor", "muon"])
def test_model_and_optimizer_come_back_bit_for_bit(bench: Bench, folder: Path, optim: str) -> None:
    loop = trained(bench, optim=optim)
    save(loop, folder, position=Position("a", step=3))
    other = bench.loop(model=bench.model(seed=9), optim=optim)
    load_checkpoint(folder / "step-000000003", model=other.model, optimizer=other.optimizer)
    assert same(state_of(other.model), state_of(loop.model))
    kept, restored = loop.optimizer.state_dict(), other.optimizer.state_dict()
    assert kept["state"].keys() == restored["state"].keys()
    for index, entries in kept["state"].items():
        assert entries.keys() == restored["state"][index].keys()
        assert all(torch.equal(value, restored["state"][index][name]) for name, value in entries.items())
    as_json = [json.loads(json.dumps(groups)) for groups in (kept["param_groups"], restored["param_groups"])]
    assert as_json[0] == as_json[1]


def test_the_random_generators_go_on_where_they_were(loop: Loop, folder: Path) -> None:
    torch.manual_seed(1)
    random.seed(2)
    np.random.seed(3)
    random.gauss(0, 1)  # leaves a second one in store
    np.random.normal()

    def draws() -> list[Any]:
        return [torch.rand(3).tolist(), random.random(), random.gauss(0, 1), np.random.normal(size=3).tolist()]

    save(loop, folder, position=Position("a", step=1))
    expected = draws()
    load_checkpoint(folder / "step-000000001", model=loop.model, optimizer=loop.optimizer)
    assert draws() == expected


def test_position_and_best_weights_come_back(loop: Loop, folder: Path) -> None:
    position = Position(
        "a", step=7, best=1 / 3, best_step=5, stale=1, seconds=2.5, loss_sum=0.1, loss_count=3, tokens=99,
        history=[{"step": 5, "accuracy": 1 / 3, "f1": None}],
    )  # fmt: skip
    best = {name: value + 1 for name, value in state_of(loop.model).items()}
    save(loop, folder, position=position, best=best)
    back, weights, _ = load_checkpoint(folder / "step-000000007", model=loop.model, optimizer=loop.optimizer)
    assert back == position
    assert weights is not None
    assert same(weights, best)


def test_without_best_weights_there_are_none(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=1))
    _, weights, _ = load_checkpoint(folder / "step-000000001", model=loop.model, optimizer=loop.optimizer)
    assert weights is None


def test_nothing_is_pickled(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=1), best=state_of(loop.model))
    assert names(folder / "step-000000001") == FILES


def test_no_folder_has_no_checkpoint(folder: Path) -> None:
    assert latest_checkpoint(folder, identity="a") is None


def test_only_the_newest_is_kept_and_found(loop: Loop, folder: Path) -> None:
    for step in (9, 10, 1000):
        save(loop, folder, position=Position("a", step=step))
        assert names(folder) == [f"step-{step:09d}"]
    assert latest_checkpoint(folder, identity="a") == folder / "step-000001000"


def test_another_runs_checkpoint_is_never_taken(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=5))
    assert latest_checkpoint(folder, identity="b") is None


def test_another_runs_later_checkpoint_does_not_displace_ones_own(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=100))
    save(loop, folder, position=Position("b", step=10))
    assert latest_checkpoint(folder, identity="b") == folder / "step-000000010"


def test_another_runs_checkpoint_of_the_same_step_is_replaced(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=10), best=state_of(loop.model))
    save(loop, folder, position=Position("b", step=10))
    assert latest_checkpoint(folder, identity="b") == folder / "step-000000010"
    assert "best.safetensors" not in names(folder / "step-000000010")


def test_half_a_checkpoint_is_never_read_and_goes_with_the_next_one(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=1))
    half = folder / ".checkpoint.killed"
    shutil.copytree(folder / "step-000000001", half)
    (half / "state.json").unlink()
    assert latest_checkpoint(folder, identity="a") == folder / "step-000000001"
    save(loop, folder, position=Position("a", step=2))
    assert names(folder) == ["step-000000002"]


def test_what_cannot_be_written_is_told_with_its_path(loop: Loop, folder: Path) -> None:
    folder.write_bytes(b"")  # a file where the folder has to be
    with pytest.raises(HoneError) as error:
        save(loop, folder, position=Position("a", step=2))
    assert error.value.code == "checkpoint.not-saved"
    assert str(folder / "step-000000002") in str(error.value)


def test_a_checkpoint_of_other_settings_is_named_where_training_begins_anew(
    bench: Bench, loop: Loop, listener: Any
) -> None:
    save(loop, bench.folder / "checkpoints", position=Position("a", step=40))
    changed, same_again, new = listener(), listener(), listener()
    assert resumed(bench.loop(identity="b", folder="."), changed) is None
    assert str(bench.folder / "checkpoints" / "step-000000040") in changed.words[0]
    assert "step 40" in changed.words[0]
    assert resumed(bench.loop(identity="a", folder="."), same_again) == 40
    assert "resuming at step 40" in same_again.words[0]
    assert resumed(bench.loop(identity="a", folder="elsewhere"), new) is None
    assert (len(changed.words), len(same_again.words), len(new.words)) == (1, 1, 0)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
def test_a_damaged_checkpoint_is_named_whatever_is_wrong_with_it(
    bench: Bench, loop: Loop, name: str, damage: str
) -> None:
    folder = bench.folder / "checkpoints"
    save(loop, folder, position=Position("a", step=1), best=state_of(loop.model))
    file = folder / "step-000000001" / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\xff" * len(content))
    again = bench.loop(identity="a", folder=".")
    with pytest.raises(HoneError) as error:
        again.resume()
    assert error.value.code == "checkpoint.damaged"
    assert str(folder / "step-000000001") in str(error.value)
    assert error.value.exit_code == 1


def test_a_checkpoint_with_other_keys_is_damaged(loop: Loop, folder: Path) -> None:
    save(loop, folder, position=Position("a", step=1))
    file = folder / "step-000000001" / "state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    state["position"]["epochs_done"] = 3
    file.write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(HoneError) as error:
        load_checkpoint(file.parent, model=loop.model, optimizer=loop.optimizer)
    assert error.value.code == "checkpoint.damaged"


def test_what_scales_the_losses_goes_on_where_it_stood(bench: Bench) -> None:
    """In a training that finds how far losses may be scaled, steps are left out while it does."""
    first, again = bench.loop(max_steps=3, save_steps=3), bench.loop(max_steps=6, save_steps=3)
    for loop in (first, again):
        loop.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    state = {**first.accelerator.scaler.state_dict(), "scale": 1024.0, "_growth_tracker": 5}
    first.accelerator.scaler.load_state_dict(state)
    bench.run(first)
    assert again.resume() == 3
    assert again.accelerator.scaler.state_dict() == state

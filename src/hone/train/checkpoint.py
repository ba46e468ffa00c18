"""Checkpoints: everything a killed run needs to go on bit for bit, written whole or not at all, never pickled."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hone.core.errors import HoneError, RecipeError
from hone.models.noise import on_gpu

PREFIX = "step-"
HIDDEN = ".checkpoint."  # what is being written, or being removed
STATE = "state.json"
WRITERS = "writers"  # in it, of a checkpoint in pieces: how many processes wrote them
UNWRITTEN = (OSError, SafetensorError)


@dataclass
class Position:
    """Where a run stands.

    Attributes:
        identity: Digest of what is trained (recipe, data, base): another run's checkpoint is never resumed.
        step: Optimizer steps done.
        best: Best validation measure so far; None before the first.
        best_step: Step it was reached at.
        stale: Measurements since without improvement.
        seconds: Training time so far.
        weight: What the losses of all steps so far weighed together, where batches are made by tokens.
        mean_loss: The running mean of the loss (see `hone.train.watch`).
        history: One record a validation.
        processes: How many shared the steps; how many go on makes no difference.
        scaler: State of what scales the losses of a training in fp16; empty where nothing does.
    """

    identity: str
    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    tokens: int = 0
    weight: float = 0.0
    mean_loss: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    processes: int = 1
    scaler: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    folder: Path,
    *,
    position: Position,
    state: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor] | None,
    techniques: dict[str, Tensor],
) -> None:
    """Write the checkpoint of ``position.step`` into ``folder`` and remove every other one.

    Args:
        state: Of the model, `learned_state`.

    Raises:
        HoneError: It could not be written (a full disk); the one before it is untouched.
    """
    target = folder / f"{PREFIX}{position.step:09d}"
    partial: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=folder))
        _fill(partial, position=position, state=state, optimizer=optimizer, best=best, techniques=techniques)
        put_in_place(partial, target)
    except UNWRITTEN as error:
        raise not_saved(target, str(error)) from error
    finally:
        if partial is not None and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)
    remove_left(folder)


def put_in_place(partial: Path, target: Path) -> None:
    """Give a checkpoint that is all written its name, and remove every other one beside it.

    Raises:
        OSError: It could not be renamed.
    """
    if target.exists():
        _remove(target)
    os.replace(partial, target)
    for old in checkpoints_in(target.parent):
        if old != target:  # one of another run may have a higher step, and is none to go on from
            _remove(old)


def remove_left(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote or removed."""
    for left in folder.glob(f"{HIDDEN}*"):
        shutil.rmtree(left, ignore_errors=True)


def not_saved(target: Path, why: str) -> HoneError:
    """The error of a checkpoint that could not be written."""
    before = [one for one in checkpoints_in(target.parent) if one != target]
    fix = (
        "Free some space, then give the same command again, which goes on from the checkpoint before. With other "
        "settings, save_steps among them, it would begin anew."
        if before
        else "Free some space, or set save_steps to null to do without checkpoints."
    )
    return HoneError(f"the checkpoint {target} could not be written: {why}", fix=fix, code="checkpoint.not-saved")


def _fill(
    folder: Path,
    *,
    position: Position,
    state: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor] | None,
    techniques: dict[str, Tensor],
) -> None:
    tensors, plain = _flatten(optimizer.state_dict())
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
    save_file({"_": torch.zeros(1), **tensors}, folder / "optimizer.safetensors")
    if best is not None:
        save_file(best, folder / "best.safetensors")
    if techniques:
        save_file(techniques, folder / "techniques.safetensors")
    write_facts(folder, position, optimizer=plain, has_best=best is not None, has_techniques=bool(techniques))
    synced(folder.iterdir())


def write_facts(folder: Path, position: Position, **more: Any) -> list[Path]:
    """Write into a checkpoint where the run stands, what its generators of random numbers have come to, and ``more``,
    plain values as JSON has them; returns the files.

    Raises:
        OSError, SafetensorError: They could not be written.
    """
    generators, state = folder / "random.safetensors", folder / STATE
    save_file(_random_tensors(), generators)
    facts = {"position": asdict(position), "python_random": _python_random(), **more}
    state.write_text(json.dumps(facts), encoding="utf-8")
    return [generators, state]


def read_facts(path: Path) -> dict[str, Any]:
    """What `write_facts` wrote, but for the generators.

    Raises:
        DAMAGE: It is damaged.
    """
    facts: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    return facts


def restore_random(path: Path, facts: Mapping[str, Any]) -> None:
    """Set the generators of random numbers to what they had come to.

    Raises:
        DAMAGE: The checkpoint is damaged.
    """
    _restore_random(load_file(path / "random.safetensors"), facts["python_random"])


def synced(files: Iterable[Path]) -> None:
    """Have ``files`` be on the disk.

    Raises:
        OSError: They cannot be.
    """
    for file in files:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def fixed_names(model: nn.Module) -> frozenset[str]:
    """Names of the weights that do not learn: those of the base, wherever training begins."""
    return frozenset(name for name, value in model.named_parameters() if not value.requires_grad)


def learned_state(model: nn.Module, *, fixed: Set[str]) -> dict[str, Tensor]:
    """The state of ``model`` without the weights ``fixed``; weights that two modules share once."""
    once = {name for name, _ in model.named_parameters()}
    again = {name for name, _ in model.named_parameters(remove_duplicate=False)} - once
    return {n: value.detach() for n, value in model.state_dict().items() if n not in fixed and n not in again}


def _restore(model: nn.Module, state: dict[str, Tensor], *, fixed: Set[str]) -> None:
    wanted = learned_state(model, fixed=fixed).keys()
    if state.keys() != wanted:
        raise KeyError(f"{min(state.keys() ^ wanted)} is missing, or does not learn here")
    model.load_state_dict(state, strict=False)


def _remove(path: Path) -> None:
    """Remove a checkpoint; its name is gone at once, so that half of one is never taken for a whole one."""
    hidden = path.with_name(f"{HIDDEN}{path.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def latest_checkpoint(folder: Path, *, identity: str) -> Path | None:
    """The newest complete checkpoint in ``folder`` of the run ``identity``; None when there is none.

    Raises:
        HoneError: One is damaged, so that nobody can say whose it is.
    """
    for path in reversed(checkpoints_in(folder)):
        try:
            found = read_facts(path)["position"]["identity"]
        except DAMAGE as error:
            raise damaged(path, error) from error
        if found == identity:
            return path
    return None


def load_checkpoint(
    path: Path, *, model: nn.Module, optimizer: torch.optim.Optimizer, fixed: Set[str] = frozenset()
) -> tuple[Position, dict[str, Tensor] | None, dict[str, Tensor]]:
    """Restore model, optimizer and random generators in place; returns the position, the best weights so far, and what
    the techniques kept.

    Args:
        fixed: See `learned_state`.

    Raises:
        HoneError: The checkpoint is damaged.
        RecipeError: Several processes wrote it in pieces.
    """
    try:
        state = read_facts(path)
        if WRITERS in state:
            raise RecipeError(
                f"the checkpoint {path} is in pieces, which {state[WRITERS]} processes wrote, and one process goes on",
                expected="several processes, as the recipe's `parallel` divides the weights among",
                fix=f"Start it by `hone launch --procs-per-node {state[WRITERS]}`, or remove the folder to begin anew.",
                code="checkpoint.divided",
            )
        _restore(model, load_file(path / "model.safetensors"), fixed=fixed)
        optimizer.load_state_dict(_unflatten(load_file(path / "optimizer.safetensors"), state["optimizer"]))
        restore_random(path, state)
        best = load_file(path / "best.safetensors") if state["has_best"] else None
        techniques = load_file(path / "techniques.safetensors") if state["has_techniques"] else {}
        return Position(**state["position"]), best, techniques
    except DAMAGE as error:
        raise damaged(path, error) from error


DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError, SafetensorError)


def damaged(path: Path, error: Exception) -> HoneError:
    """The error of a checkpoint that cannot be read."""
    return HoneError(
        f"the checkpoint {path} is damaged: {type(error).__name__}: {error}",
        expected="one that was written whole, as all are",
        fix="Remove that folder, then give the same command again: training starts from the beginning.",
        code="checkpoint.damaged",
    )


def checkpoints_in(folder: Path) -> list[Path]:
    """Every complete checkpoint in ``folder``, whosever it is, by their steps."""
    return sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was written after."""
    return int(checkpoint.name.removeprefix(PREFIX))


def _flatten(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.contiguous()
            else:
                values.setdefault(str(index), {})[name] = value
    return tensors, {"values": values, "param_groups": state["param_groups"]}


def _unflatten(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {int(index): dict(entries) for index, entries in plain["values"].items()}
    for key, value in tensors.items():
        if key != "_":
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": plain["param_groups"]}


def _random_tensors() -> dict[str, Tensor]:
    states = {"torch": torch.get_rng_state()}
    for i, state in enumerate(torch.cuda.get_rng_state_all() if on_gpu() else []):
        states[f"cuda.{i}"] = state
    return states


def _python_random() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    numpy_state = [str(kind), np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)]
    return {"random": [version, list(words), gauss], "numpy": numpy_state}


def _restore_random(tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    for i in range(torch.cuda.device_count()):  # another machine may have fewer GPUs than the one that saved, or more
        if f"cuda.{i}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda.{i}"], i)
    version, words, gauss = plain["random"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = plain["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))

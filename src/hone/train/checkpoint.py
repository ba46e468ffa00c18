"""Checkpoints: everything a killed run needs to go on bit for bit, written whole or not at all, never pickled."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

PREFIX = "step-"


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
        history: One record a validation.
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
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    folder: Path,
    *,
    position: Position,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor] | None,
) -> None:
    """Write the checkpoint of ``position.step`` into ``folder`` and remove the one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".checkpoint.", suffix=".partial", dir=folder))
    try:
        tensors, plain = _flatten(optimizer.state_dict())
        save_file(
            {name: value.contiguous() for name, value in model.state_dict().items()}, partial / "model.safetensors"
        )
        save_file({"_": torch.zeros(1), **tensors}, partial / "optimizer.safetensors")
        save_file(_random_tensors(), partial / "random.safetensors")
        if best is not None:
            save_file(best, partial / "best.safetensors")
        state = {"position": asdict(position), "optimizer": plain, "python_random": _python_random()}
        (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for file in partial.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        target = folder / f"{PREFIX}{position.step:09d}"
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)
    for old in _all(folder)[:-1]:
        shutil.rmtree(old)


def latest_checkpoint(folder: Path, *, identity: str) -> Path | None:
    """The newest complete checkpoint in ``folder`` of the run ``identity``; None when there is none."""
    for path in reversed(_all(folder)):
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if state["position"]["identity"] == identity:
            return path
    return None


def load_checkpoint(
    path: Path, *, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Position, dict[str, Tensor] | None]:
    """Restore model, optimizer and random generators in place; returns the position and the best weights so far."""
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    model.load_state_dict(load_file(path / "model.safetensors"))
    optimizer.load_state_dict(_unflatten(load_file(path / "optimizer.safetensors"), state["optimizer"]))
    _restore_random(load_file(path / "random.safetensors"), state["python_random"])
    best = path / "best.safetensors"
    return Position(**state["position"]), load_file(best) if best.is_file() else None


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []


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
    for i, state in enumerate(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []):
        states[f"cuda.{i}"] = state
    return states


def _python_random() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    numpy_state = [str(kind), np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)]
    return {"random": [version, list(words), gauss], "numpy": numpy_state}


def _restore_random(tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    cuda = [tensors[name] for name in sorted(tensors) if name.startswith("cuda.")]
    if cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(cuda)
    version, words, gauss = plain["random"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = plain["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))

"""Checkpoints that several processes write together, each what it has of the weights: whole or not at all, bit for bit,
and another number of processes reads them, too.

A folder has ``process-N.safetensors`` of each, which says in its header which pieces of which tensors it has, and what
the first writes of every checkpoint. Nothing is pickled, as it would be by torch's own format of such checkpoints.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hone.core.errors import HoneError
from hone.train.checkpoint import (
    DAMAGE,
    HIDDEN,
    PREFIX,
    UNWRITTEN,
    WRITERS,
    Position,
    damaged,
    not_saved,
    put_in_place,
    read_facts,
    remove_left,
    restore_random,
    synced,
    write_facts,
)
from hone.train.pieces import Pieces, write_pieces
from hone.train.processes import Processes

PARTS = ("model", "optimizer", "best", "techniques")


def save_pieces(
    folder: Path, tensors: Mapping[str, Tensor], *, position: Position, has_best: bool, processes: Processes
) -> None:
    """Write the checkpoint of ``position.step`` into ``folder``, each process its own ``tensors``, and remove every
    other one. All processes are here together.

    Args:
        tensors: By names that begin with one of `PARTS` and a slash.

    Raises:
        HoneError: One of the processes could not write (a full disk); the checkpoint before is untouched.
    """
    target = folder / f"{PREFIX}{position.step:09d}"
    partial = folder / f"{HIDDEN}{target.name}.partial"

    def prepare() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        remove_left(folder)
        partial.mkdir()

    def write() -> None:
        mine = [_file(partial, processes.place.number)]
        write_pieces(mine[0], tensors)
        if processes.first:
            mine += write_facts(partial, position, has_best=has_best, **{WRITERS: processes.place.count})
        synced(mine)  # not all that is there: another process's file may be one that it is about to rename

    try:
        for work, all_do in ((prepare, False), (write, True), (lambda: put_in_place(partial, target), False)):
            why: Exception | None = None
            if all_do or processes.first:
                try:
                    work()
                except UNWRITTEN as error:
                    why = error
            _require_done(why, target, processes)
    finally:
        if processes.first:
            shutil.rmtree(partial, ignore_errors=True)


def _require_done(why: Exception | None, target: Path, processes: Processes) -> None:
    """Raise in every process what kept one from writing."""
    number, count = processes.place.number, processes.place.count
    failed = processes.sums(*(float(why is not None and number == i) for i in range(count)))
    if any(failed):
        told = f"process {failed.index(1.0)} could not" if why is None else str(why)
        raise not_saved(target, told) from why


def load_pieces(
    path: Path, *, model: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
) -> tuple[Position, dict[str, dict[str, Tensor]]]:
    """Restore ``model`` and the random generators in place; returns the position and the other `PARTS` that there are,
    each divided as here.

    Args:
        model: What learns, as it is divided here.
        parameters: All weights by name: what a part has of one is divided as that is.

    Raises:
        HoneError: The checkpoint is damaged, or one process wrote it whole.
    """
    try:
        facts = read_facts(path)
        if WRITERS not in facts:
            raise HoneError(
                f"the checkpoint {path} was written by one process, which held all weights, and several go on, which "
                "divide them",
                expected="one process, as before",
                fix="Give the command without `hone launch`, or remove that folder to begin anew.",
                code="checkpoint.divided",
            )
        restore_random(path, facts)
        with Pieces([_file(path, number) for number in range(facts[WRITERS])]) as pieces:
            found = _read(pieces, model, parameters)
        if facts["has_best"]:
            found.setdefault("best", {})
        return Position(**facts["position"]), found
    except DAMAGE as error:
        raise damaged(path, error) from error


def _read(
    pieces: Pieces, model: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    had = {name.partition("/")[2] for name in pieces.shapes if name.startswith("model/")}
    if had != model.keys():
        raise KeyError(f"{min(had ^ model.keys())} is missing, or does not learn here")
    for name, value in model.items():
        pieces.read(f"model/{name}", value)
    found: dict[str, dict[str, Tensor]] = {"optimizer": {}, "techniques": {}}
    for key, shape in pieces.shapes.items():
        part, _, name = key.partition("/")
        if part == "model":
            continue
        like = parameters.get(_weight(part, name))
        if like is not None and tuple(like.shape) == shape:
            value = torch.zeros_like(like.detach())
            pieces.read(key, value)
        else:
            value = pieces.whole(key)
        found.setdefault(part, {})[name] = value
    return found


def _weight(part: str, name: str) -> str:
    """The weight that something under this name belongs to: a moment of it, say."""
    if part == "optimizer":
        return name.rpartition("/")[0]
    return name.partition(".")[2] if part == "techniques" else name


def _file(folder: Path, number: int) -> Path:
    return folder / f"process-{number}.safetensors"

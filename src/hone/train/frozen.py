"""What frozen layers give for every training row, made once and read from disk by every epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hone.core.disk import appearing, reserve
from hone.core.errors import HoneError
from hone.core.progress import Progress
from hone.models.model import Model
from hone.predict.batching import budgeted
from hone.tasks.protocol import Task
from hone.tasks.rows import IntArray, Rows


class FrozenStates:
    """States after the frozen layers, float32 [tokens of all rows, width], memory-mapped."""

    def __init__(self, states: NDArray[np.float32], rows: Rows) -> None:
        self._states, self._rows = states, rows

    def of(self, index: IntArray) -> Tensor:
        """Those of the rows ``index``, one row after another: [n, width]."""
        return torch.from_numpy(self._states[self._rows.flat("input_ids", index)])


def frozen_states(model: Model, task: Task, rows: Rows, *, cache: Path, key: str, progress: Progress) -> FrozenStates:
    """From the cache, or made now; the file is there whole or not at all.

    Args:
        key: Digest of base, rows and number of frozen layers.

    Raises:
        HoneError: The file cannot be written.
    """
    file = cache / "states" / f"{key}.float32"
    shape = (int(rows.lengths.sum()), int(model.backbone.config.hidden_size))  # type: ignore[union-attr, arg-type]
    if not file.is_file():
        try:
            _make(file, shape, model, task, rows, progress=progress)
        except OSError as error:
            raise HoneError(
                f"the states of the frozen layers could not be written to {file}: {error}",
                fix="Free some space, set HONE_CACHE to a roomier disk, or set freeze_layers to 0.",
                code="train.states-not-saved",
            ) from error
    return FrozenStates(np.memmap(file, dtype=np.float32, mode="r", shape=shape), rows)


def _make(file: Path, shape: tuple[int, int], model: Model, task: Task, rows: Rows, *, progress: Progress) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    size = shape[0] * shape[1] * 4
    progress.say(f"keeping {size / 1e6:,.0f} MB of the frozen layers' states in {file.parent}")
    try:
        with appearing(file, mode=0o600) as empty:
            reserve(empty, size)
            states = np.memmap(empty, dtype=np.float32, mode="r+", shape=shape)
            was_learning = model.training
            model.eval()
            progress.begin("states of the frozen layers", total=len(rows), unit="row")
            for index in budgeted(rows.lengths):
                states[rows.flat("input_ids", index)] = model.lower_states(task.collate(rows, index)).numpy()
                progress.advance(len(index))
            model.train(was_learning)
            states.flush()
    finally:
        progress.finish()

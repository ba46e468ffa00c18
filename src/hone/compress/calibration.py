"""Texts that show a method what goes through the model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hone.compress.start import Start
from hone.core.errors import RecipeError
from hone.data.dataset import Dataset
from hone.tasks.fields import input_names
from hone.tasks.protocol import Writing
from hone.tasks.rows import Rows


def calibration_rows(start: Start, *, most: int) -> Rows:
    """Rows of the texts of ``train``, ``unlabeled`` and ``validation``, evenly spread over them all; of a task that
    writes with the texts to write, which those of ``unlabeled`` lack."""
    writes = isinstance(start.task, Writing)
    names = [name for name in ("train", "unlabeled", "validation") if name in start.data]
    sets = [start.data[name] for name in names if not (writes and name == "unlabeled")]
    begins = np.cumsum([0, *map(len, sets)])  # where each set's rows begin among all
    if not begins[-1]:
        raise RecipeError(
            "static activations were given no texts to calibrate on",
            expected="train, unlabeled or validation under data",
            code="recipe.no-split",
        )
    index = np.unique(np.linspace(0, begins[-1] - 1, min(most, begins[-1])).astype(np.int64))
    shares = [index[(index >= begin) & (index < end)] - begin for begin, end in itertools.pairwise(begins)]
    parts = [
        start.task.encode(
            {name: data.values(name, rows) for name in _needed(start, data)},
            purpose="learn" if writes else "predict",
            start=begin,
        )
        for data, rows, begin in zip(sets, shares, begins.tolist(), strict=False)
        if len(rows)
    ]
    return Rows(pa.Table.from_batches(parts))


def _needed(start: Start, data: Dataset) -> Sequence[str]:
    """The columns that a row is made of: the inputs, and of a task that writes the texts to write."""
    return data.columns if isinstance(start.task, Writing) else input_names(start.task, data.columns)

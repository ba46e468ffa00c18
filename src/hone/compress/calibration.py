"""Texts that show a method what goes through the model."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from hone.compress.start import Start
from hone.core.errors import RecipeError
from hone.tasks.fields import input_names
from hone.tasks.rows import Rows


def calibration_rows(start: Start, *, most: int) -> Rows:
    """Rows of the texts of ``train``, ``unlabeled`` and ``validation``, evenly spread over them all."""
    sets = [start.data[name] for name in ("train", "unlabeled", "validation") if name in start.data]
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
        start.task.encode({name: data.values(name, rows) for name in input_names(start.task, data.columns)},
                          purpose="predict", start=begin)
        for data, rows, begin in zip(sets, shares, begins.tolist(), strict=False)
        if len(rows)
    ]  # fmt: skip
    return Rows(pa.Table.from_batches(parts))

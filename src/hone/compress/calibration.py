"""Texts that show a method what goes through the model."""

from __future__ import annotations

import numpy as np

from hone.compress.start import Start
from hone.core.errors import RecipeError
from hone.data.fields import required
from hone.tasks.rows import Rows


def calibration_rows(start: Start, *, most: int) -> Rows:
    """Rows of the texts of ``train``, ``unlabeled`` and ``validation``, evenly spread over them all."""
    sets = [start.data[name] for name in ("train", "unlabeled", "validation") if name in start.data]
    places = [(data, row) for data in sets for row in range(len(data))]
    if not places:
        raise RecipeError(
            "static activations were given no texts to calibrate on",
            expected="train, unlabeled or validation under data",
            code="recipe.no-split",
        )
    index = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).astype(np.int64))
    chosen = [data.row(row) for data, row in (places[i] for i in index)]
    columns = {name: [row[name] for row in chosen] for name in required(start.task.inputs)}
    return Rows(start.task.encode(columns, purpose="predict"))

"""Splits: a validation part carved from the training rows, stratified, seeded; equal inputs stay on one side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.core.errors import DataError
from hone.data.checks import input_hashes
from hone.data.dataset import Dataset


def carve_validation(dataset: Dataset, *, share: float, seed: int, field: str, target: str) -> tuple[Dataset, Dataset]:
    """Training and validation rows of ``dataset``, each in the order of the file.

    Args:
        share: Part of the rows that goes to validation, 0 to 1; at least one row, however few there are.
        field: The input; rows with equal input go to one side together.
        target: The column of labels or tags. Single labels keep their proportions; every label and every tag keeps at
            least one training row.

    Raises:
        DataError: There are too few rows to take any.
    """
    rng = np.random.default_rng([seed, 0x5711])
    _, first, group = np.unique(input_hashes(dataset, field), return_index=True, return_inverse=True)
    values = dataset.column(target)
    by_stratum: dict[str, list[int]] = {}
    for row in first:  # a group counts where its first row stands
        stratum = values[row] if isinstance(values[row], str) else ""
        by_stratum.setdefault(stratum, []).append(int(group[row]))
    chosen = np.zeros(len(first), dtype=bool)
    for members in (by_stratum[name] for name in sorted(by_stratum)):
        count = min(round(len(members) * share), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    if not chosen.any():  # so few rows of each label that every count is rounded to none
        spare = [each for name in sorted(by_stratum) for each in by_stratum[name][1:]]
        chosen[rng.permutation(spare)[: max(1, round(len(first) * share))].astype(int)] = True
    _keep_taught(values, group, chosen)
    validation = chosen[group]
    if not validation.any():
        raise DataError(
            f"{dataset.origin} has too few rows to take validation rows from: {len(dataset)}",
            expected="a label with two different rows",
            fix="Name a validation file, or train without: validation: none",
            code="data.too-few-rows",
        )
    return (
        dataset.take(np.flatnonzero(~validation), name="train"),
        dataset.take(np.flatnonzero(validation), name="validation"),
    )


def _keep_taught(values: list[Any], group: NDArray[np.int64], chosen: NDArray[np.bool_]) -> None:
    """Give back the chosen groups that alone have some label or tag: what training never shows is not learned."""
    parts = [{value} if isinstance(value, str) else set(value) for value in values]
    shown = set().union(*(part for part, g in zip(parts, group, strict=True) if not chosen[g]))
    for part, g in zip(parts, group, strict=True):
        if not part <= shown:
            chosen[g] = False
            shown |= part

"""Splits: a validation part carved from the training rows, stratified, seeded; equal inputs stay on one side."""

from __future__ import annotations

import numpy as np

from hone.data.checks import input_hashes
from hone.data.dataset import Dataset


def carve_validation(
    dataset: Dataset, *, share: float, seed: int, field: str, stratify: str | None
) -> tuple[Dataset, Dataset]:
    """Training and validation rows of ``dataset``, each in the order of the file.

    Args:
        share: Part of the rows that goes to validation, 0 to 1.
        field: The input; rows with equal input go to one side together.
        stratify: Column whose values keep their proportions; every value keeps at least one training row. None where
            rows have no single label.
    """
    rng = np.random.default_rng([seed, 0x5711])
    _, group = np.unique(input_hashes(dataset, field), return_inverse=True)
    strata = dataset.column(stratify) if stratify else [""] * len(dataset)
    chosen = np.zeros(int(group.max()) + 1, dtype=bool)
    _, first = np.unique(group, return_index=True)  # a group counts where its first row stands
    by_stratum: dict[str, list[int]] = {}
    for row in first:
        by_stratum.setdefault(strata[row], []).append(int(group[row]))
    for members in (by_stratum[name] for name in sorted(by_stratum)):
        count = min(round(len(members) * share), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    validation = chosen[group]
    return (
        dataset.take(np.flatnonzero(~validation), name="train"),
        dataset.take(np.flatnonzero(validation), name="validation"),
    )

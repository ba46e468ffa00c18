"""Splits: a validation part carved from the training rows, stratified, seeded; equal inputs stay on one side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.core.errors import DataError
from hone.data.checks import input_hashes, labels_of
from hone.data.dataset import Dataset


def carve_validation(
    dataset: Dataset, *, share: float, seed: int, fields: Sequence[str], targets: Sequence[str]
) -> tuple[Dataset, Dataset]:
    """Training and validation rows of ``dataset``, each in the order of the file.

    Args:
        share: Part of the rows that goes to validation, 0 to 1; at least one row, however few there are.
        fields: The inputs; rows with equal inputs go to one side together.
        targets: Columns of labels, tags or numbers, those that it has of them. Single labels, where they come first,
            keep their proportions; every label and every tag keeps at least one training row.

    Raises:
        DataError: There are too few rows to take any.
    """
    rng = np.random.default_rng([seed, 0x5711])
    _, first, group = np.unique(input_hashes(dataset, *fields), return_index=True, return_inverse=True)
    columns = {target: dataset.column(target) for target in targets if target in dataset.columns}
    taught: list[set[tuple[str, str]]] = [set() for _ in first]  # labels or tags of each group of equal inputs
    for target, values in columns.items():
        for value, g in zip(values, group, strict=True):
            taught[g] |= {(target, one) for one in labels_of(value)}
    leading = columns.get(targets[0], [None] * len(dataset))
    by_stratum: dict[str, list[int]] = {}
    for row in first:  # a group counts where its first row stands
        stratum = leading[row] if isinstance(leading[row], str) else ""
        by_stratum.setdefault(stratum, []).append(int(group[row]))
    chosen = np.zeros(len(first), dtype=bool)
    for members in (by_stratum[name] for name in sorted(by_stratum)):
        count = min(round(len(members) * share), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    _give_back(taught, chosen)
    if not chosen.any():  # so few rows of each label that every count was rounded to none
        groups_with = Counter(each for some in taught for each in some)
        spare = [g for g, some in enumerate(taught) if all(groups_with[each] > 1 for each in some)]
        chosen[rng.permutation(spare)[: max(1, round(len(first) * share))].astype(int)] = True
        _give_back(taught, chosen)
    if not chosen.any():
        raise DataError(
            f"{dataset.origin} has too few rows to take validation rows from: {len(dataset)}",
            expected="a label with two different rows",
            fix="Name a validation file, or train without: validation: none",
            code="data.too-few-rows",
        )
    validation = chosen[group]
    return (
        dataset.take(np.flatnonzero(~validation), name="train"),
        dataset.take(np.flatnonzero(validation), name="validation"),
    )


def _give_back(taught: list[set[tuple[str, str]]], chosen: NDArray[np.bool_]) -> None:
    """Give back the chosen groups that alone have some label or tag: what training never shows is not learned."""
    shown: set[tuple[str, str]] = set().union(*(some for some, away in zip(taught, chosen, strict=True) if not away))
    for g in np.flatnonzero(chosen):
        if not taught[g] <= shown:
            chosen[g] = False
            shown |= taught[g]

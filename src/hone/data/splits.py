"""Splits: a validation part carved from the training rows, stratified, seeded; what belongs together stays so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hone.core.errors import DataError
from hone.data.checks import input_hashes, labels_of
from hone.data.dataset import Dataset, IntArray

CODE_BITS = 32  # of a group and a label in one number


def nested_part(dataset: Dataset, *, share: float, seed: int, target: str) -> Dataset:
    """About ``share`` of the rows, in their order, of each label of ``target`` as much and at least one; at random
    where that is empty. A smaller part is within a larger one."""
    rng = np.random.default_rng([seed, 0x9A27])
    place = rng.random(len(dataset))  # where each row comes in, from 0 to 1
    if target:
        _, label = np.unique(np.asarray(dataset.column(target)), return_inverse=True)
        order = np.lexsort((place, label.reshape(-1)))
        counts = np.bincount(label.reshape(-1))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        place[order] = rank / np.repeat(counts, counts)
    return dataset.take(np.flatnonzero((place < share) | (place == place.min())))


def carve_validation(
    dataset: Dataset,
    *,
    share: float,
    seed: int,
    fields: Sequence[str],
    targets: Sequence[str],
    shared: Sequence[str] = (),
    name: str = "validation",
) -> tuple[Dataset, Dataset]:
    """Training and validation rows of ``dataset``, each in the order of the file.

    Args:
        share: Part of the rows that goes to validation, 0 to 1; at least one row, however few there are.
        fields: The inputs; rows with equal inputs go to one side together, and count once.
        targets: Columns of labels, tags or numbers, those that it has of them. Single labels, where they come first,
            keep their proportions; every label and every tag keeps at least one training row.
        shared: Inputs that several rows may be about, such as the passage of many questions: rows that are equal in
            these go to one side together, and each counts.
        name: What the validation rows are called.

    Raises:
        DataError: There are too few rows to take any.
    """
    rng = np.random.default_rng([seed, 0x5711])
    _, first, group = np.unique(input_hashes(dataset, *(shared or fields)), return_index=True, return_inverse=True)
    sizes = np.bincount(group) if shared else np.ones(len(first), dtype=np.int64)
    taught = _taught(dataset, targets, group)
    chosen = np.zeros(len(first), dtype=bool)
    for members in _strata(dataset, next(iter(targets), ""), first):
        rows = int(sizes[members].sum())
        want = min(round(rows * share), rows - 1)
        chosen[_about(want, rng.permutation(members), sizes)] = True
    taught.give_back(chosen)
    if not chosen.any() and len(first) > 1:  # so few rows of each label that every count was rounded to none
        spare = taught.spare(len(first))
        want = max(1, round(int(sizes.sum()) * share))
        some = _about(want, rng.permutation(spare), sizes)
        chosen[some if len(some) else spare[sizes[spare].argsort()[:1]]] = True
        taught.give_back(chosen)
    if not chosen.any():
        raise _too_few(dataset, "a label" if taught.labels else "", shared, name=name)
    validation = chosen[group]
    return (
        dataset.take(np.flatnonzero(~validation), name=dataset.name),
        dataset.take(np.flatnonzero(validation), name=name),
    )


def _too_few(dataset: Dataset, label: str, shared: Sequence[str], *, name: str) -> DataError:
    other = f"two rows with different {' and '.join(shared) or 'inputs'}"
    return DataError(
        f"{dataset.origin} has too few rows to take validation rows from: {len(dataset)}",
        expected=f"{label} with two different rows" if label else other,
        fix=f"Name a file of them, or train without: {name}: none",
        code="data.too-few-rows",
    )


def _about(want: int, order: IntArray, sizes: IntArray) -> IntArray:
    """Of the groups in ``order`` those whose rows, group after group, come nearer to ``want`` rows."""
    if (sizes[order] == 1).all():
        return order[:want]
    taken, rows = list[int](), 0
    for group in order.tolist():
        if len(taken) == len(order) - 1:  # never all
            break
        if abs(rows + sizes[group] - want) < abs(rows - want):
            taken.append(group)
            rows += sizes[group]
    return np.array(taken, dtype=np.int64)


def _strata(dataset: Dataset, target: str, first: IntArray) -> Iterator[IntArray]:
    """The groups of equal inputs whose first rows have one label, label after label as they are sorted; where rows
    have no single label, all groups together."""
    if dataset.holds(target) != "label":
        yield np.arange(len(first))
        return
    known: dict[str, int] = {}
    parts = [codes for _, codes in _coded(dataset, target, known)]
    codes = np.concatenate([np.zeros(0, dtype=np.int64), *parts])[first]  # of no rows, too
    for label in sorted(known):
        members = np.flatnonzero(codes == known[label])
        if len(members):
            yield members


def _coded(dataset: Dataset, target: str, known: dict[str, int]) -> Iterator[tuple[IntArray, IntArray]]:
    """The row of each label or tag and its number in ``known``, which grows, both int64, so many rows at a time."""
    start = 0
    for part in dataset.parts(target):
        found = [labels_of(value) for value in part.to_pylist()]
        codes = [known.setdefault(label, len(known)) for labels in found for label in labels]
        rows = np.repeat(np.arange(start, start + len(found)), [len(labels) for labels in found])
        yield rows, np.array(codes, dtype=np.int64)
        start += len(found)


@dataclass(frozen=True)
class Taught:
    """What groups of equal inputs teach, each label or tag of a group once.

    Attributes:
        group, label: int64 [n]; by group, ascending.
        labels: How many different ones there are.
    """

    group: IntArray
    label: IntArray
    labels: int

    def give_back(self, chosen: NDArray[np.bool_]) -> None:
        """Give back the chosen groups that alone have some label or tag: what training never shows is not learned."""
        away = chosen[self.group]
        shown = np.zeros(self.labels, dtype=bool)
        shown[self.label[~away]] = True
        wanting = np.unique(self.group[away & ~shown[self.label]])
        for g in wanting:
            own = self.label[np.searchsorted(self.group, g) : np.searchsorted(self.group, g, side="right")]
            if not shown[own].all():
                chosen[g] = False
                shown[own] = True

    def spare(self, groups: int) -> IntArray:
        """The groups without a label or tag that no other one has."""
        alone = np.bincount(self.label, minlength=self.labels) < 2
        return np.setdiff1d(np.arange(groups), self.group[alone[self.label]])


def _taught(dataset: Dataset, targets: Sequence[str], group: IntArray) -> Taught:
    """The labels or tags of each group; numbers and answers teach no label.

    Args:
        group: The group of each row, int64 [rows].
    """
    pairs, count = [np.zeros(0, dtype=np.int64)], 0
    for target in targets:
        known: dict[str, int] = {}
        for rows, codes in _coded(dataset, target, known) if target in dataset.columns else ():
            pairs.append(np.unique(group[rows] << CODE_BITS | codes + count))
        count += len(known)
    both = np.unique(np.concatenate(pairs))
    return Taught(both >> CODE_BITS, both & ((1 << CODE_BITS) - 1), count)

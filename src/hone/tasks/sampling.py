"""Rows of rare labels come oftener: an epoch has of each label what its frequency, tempered, asks for."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hone.data.checks import label_sets
from hone.data.dataset import Dataset
from hone.data.fields import Field, Kind
from hone.data.passes import Passes
from hone.tasks.rows import IntArray, Rows

COUNTED: tuple[Kind, ...] = ("label", "labels", "tags", "entities")  # kinds of targets that hold labels


def by_label(rows: Rows, data: Dataset, target: Field, *, power: float, most: float, seed: int) -> Passes:
    """Passes in which a row comes ``(n / n_l) ** power`` times an epoch, where ``n_l`` examples have its label and
    ``n`` the most frequent one: by inverse frequency where ``power`` is 1, by its square root at 0.5 (Mahajan et al.
    2018). Of several labels the rarest decides (Gupta et al. 2019); a row without any comes once.

    Args:
        rows: Of ``data``.
        target: Holds the labels.
        most: Times that no row comes oftener than.
    """
    sets = list(label_sets(data, target.name))
    counts = Counter(label for labels in sets for label in labels)
    number = {label: at for at, label in enumerate(sorted(counts))}
    rarest = [min(labels, key=lambda label: (counts[label], label), default=None) for labels in sets]
    of = np.array([-1 if label is None else number[label] for label in rarest])[rows.example]
    sizes = np.array([counts[label] for label in number], dtype=np.float64)
    times = np.append(np.minimum(most, (sizes.max(initial=1) / sizes) ** power), 1.0)  # the last one: of no label
    groups = [np.flatnonzero(of == label) for label in np.unique(of)]
    return Passes(groups, [round(len(group) * times[of[group[0]]]) for group in groups], seed=seed)


def drawn_examples(passes: Passes, rows: Rows) -> IntArray:
    """The examples of the first epoch of passes over ``rows``, each as often as its first row comes: int64."""
    _, firsts = np.unique(rows.example, return_index=True)
    order = passes.epoch(0)
    examples: IntArray = rows.example[order[np.isin(order, firsts)]]
    return examples

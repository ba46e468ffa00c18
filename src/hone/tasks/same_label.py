"""Another text of the same label for each text of a batch: what makes pairs of labeled texts."""

from __future__ import annotations

import numpy as np

from hone.tasks.rows import IntArray


class SameLabel:
    """Rows by their label.

    Args:
        labels: A number for the label of each row, int64 [rows].
    """

    def __init__(self, labels: IntArray) -> None:
        self._order = np.argsort(labels, kind="stable")
        _, self._first, of, self._count = np.unique(
            labels[self._order], return_index=True, return_inverse=True, return_counts=True
        )
        self._group, self._place = np.empty_like(self._order), np.empty_like(self._order)
        self._group[self._order] = of
        self._place[self._order] = np.arange(len(labels)) - self._first[of]

    def others(self, index: IntArray, *, rng: np.random.Generator) -> IntArray:
        """For each of the rows ``index`` another one of its label, each as likely; itself where it is the only one."""
        group = self._group[index]
        count = self._count[group]
        ahead = rng.integers(1, np.maximum(count, 2))
        place = np.where(count > 1, (self._place[index] + ahead) % count, 0)
        found: IntArray = self._order[self._first[group] + place]
        return found

"""`Order`: a shuffled order of many documents of which any place is known at once, in memory of one buffer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCKS = 64  # that a buffer holds


class Order:
    """A seeded permutation of 0 to ``count`` - 1.

    Neighboring documents make blocks, the blocks are shuffled, and so many as a buffer holds are shuffled document by
    document. A shuffle buffer that is refilled one by one (as streaming readers have it) mixes no better, and where it
    stands can only be found by going over all that came before; here a place needs its buffer alone. Where a buffer
    holds all documents, every order is equally likely.

    Args:
        count: Documents.
        buffer: Documents that are shuffled together.
        seed: Words that decide the order.
    """

    def __init__(self, count: int, *, buffer: int, seed: Sequence[int]) -> None:
        self._count, self._seed, self._group, self._rows = count, list(seed), -1, np.zeros(0, dtype=np.int64)
        self._block = max(1, buffer // BLOCKS) if buffer < count else max(1, count)
        self._grouped = max(1, buffer // self._block)  # blocks of a buffer
        rng = np.random.default_rng([*self._seed, 0])
        self._shift = int(rng.integers(count)) if count else 0  # so that no document is always in the short block
        whole, rest = divmod(count, self._block)
        self._blocks = np.append(rng.permutation(whole), [whole] if rest else []).astype(np.int64)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> int:
        """The document at a place."""
        if not 0 <= place < self._count:
            raise IndexError(place)
        size = self._grouped * self._block
        group, at = divmod(place, size)
        if group != self._group:
            blocks = self._blocks[group * self._grouped : (group + 1) * self._grouped]
            rows = (blocks[:, None] * self._block + np.arange(self._block)).ravel()
            rows = rows[rows < self._count]
            self._group = group
            self._rows = (np.random.default_rng([*self._seed, 1, group]).permutation(rows) + self._shift) % self._count
        return int(self._rows[at])

"""`Order`: a shuffled order of many rows of which any part is known at once, in memory of one buffer; `spread`: one
whose every beginning is from all over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BLOCKS = 64  # that a buffer holds


def spread(count: int) -> Iterator[int]:
    """The numbers below ``count``, each once, as their bits are read backward (van der Corput 1935)."""
    bits = max(1, (count - 1).bit_length())
    for number in range(1 << bits):
        turned = int(f"{number:0{bits}b}"[::-1], 2)
        if turned < count:
            yield turned


class Order:
    """A seeded permutation of 0 to ``count`` - 1.

    Neighboring rows make blocks, the blocks are shuffled, and so many as a buffer holds are shuffled row by row. A
    shuffle buffer that is refilled one by one (as streaming readers have it) mixes no better, and where it stands can
    only be found by going over all that came before; here a place needs its buffer alone. Where a buffer holds all
    rows, every order is equally likely.

    Args:
        count: Rows.
        buffer: Rows that are shuffled together.
        seed: Words that decide the order.
    """

    def __init__(self, count: int, *, buffer: int, seed: Sequence[int]) -> None:
        self._count, self._seed = count, list(seed)
        self._block = max(1, buffer // BLOCKS) if buffer < count else max(1, count)
        self._grouped = max(1, buffer // self._block)  # blocks of a buffer
        rng = np.random.default_rng([*self._seed, 0])
        self._shift = int(rng.integers(count)) if count else 0  # so that no row is always in the short block
        whole, rest = divmod(count, self._block)
        self._blocks = np.append(rng.permutation(whole), [whole] if rest else []).astype(np.int64)

    def places(self, begin: int, end: int) -> IntArray:
        """The rows that stand at the places from ``begin`` to before ``end``, int64."""
        size = self._grouped * self._block
        first = begin // size
        parts = [np.zeros(0, dtype=np.int64), *(self._buffer(group) for group in range(first, -(-end // size)))]
        found: IntArray = np.concatenate(parts)[begin - first * size : end - first * size]
        return found

    def _buffer(self, group: int) -> IntArray:
        blocks = self._blocks[group * self._grouped : (group + 1) * self._grouped]
        rows = (blocks[:, None] * self._block + np.arange(self._block)).ravel()
        rows = rows[rows < self._count]
        shuffled = np.random.default_rng([*self._seed, 1, group]).permutation(rows)
        shifted: IntArray = (shuffled + self._shift) % self._count
        return shifted

"""`Shares`: how many documents of each source an epoch holds, and from which source each one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sizes:
    """Documents and characters of a source."""

    name: str
    documents: int
    characters: int


@dataclass(frozen=True)
class Shares:
    """How an epoch is made up.

    Attributes:
        documents: Documents of each source in an epoch; those of a source that it has fewer of come several times.
        of_characters: Each source's part of the characters.
        passes: How often an epoch goes over each source.
    """

    documents: tuple[int, ...]
    of_characters: tuple[float, ...]
    passes: tuple[float, ...]

    @classmethod
    def of(cls, sizes: Sequence[Sizes], shares: Sequence[float | None], *, temperature: float) -> Shares:
        """The shares that are asked for. An epoch is once the largest of the sources that name none; where all name
        one, as long as all sources together. A source without documents comes in with nothing."""
        characters = np.array([size.characters for size in sizes], dtype=np.float64)
        named = np.array([np.nan if share is None else share for share in shares])
        free = np.isnan(named)
        part = np.where(free, characters ** (1 / temperature), 0)
        part = part / max(part.sum(), 1e-300) * (1 - np.nansum(named))
        part = np.where(free, part, named) * (characters > 0)
        part = part / part.sum() if part.sum() else part
        largest = int(np.argmax(np.where(free, characters, -1)))
        once = free[largest] and characters[largest] > 0
        total = characters[largest] / part[largest] if once else characters.sum()
        passes = np.divide(part * total, characters, out=np.zeros(len(sizes)), where=characters > 0)
        documents = [
            0 if not size.documents else max(1, round(size.documents * float(times)))
            for size, times in zip(sizes, passes, strict=True)
        ]
        return cls(tuple(documents), tuple(part.tolist()), tuple(passes.tolist()))


class Draws:
    """Which source each step of an epoch is drawn from: all orders of its documents' sources are equally likely, and a
    step's is known without those before, given how many of each have come."""

    STEPS = 4096  # whose random numbers are made together

    def __init__(self, documents: Sequence[int], *, seed: Sequence[int]) -> None:
        self._documents, self._seed = np.array(documents, dtype=np.int64), list(seed)
        self._chunk, self._numbers = -1, np.zeros(0)

    def source(self, taken: Sequence[int]) -> int:
        """The source of the step after ``taken`` documents of each; there must be one."""
        if len(self._documents) == 1:
            return 0
        left = self._documents - np.asarray(taken, dtype=np.int64)
        chunk, at = divmod(int(sum(taken)), self.STEPS)
        if chunk != self._chunk:
            self._chunk = chunk
            self._numbers = np.random.default_rng([*self._seed, chunk]).random(self.STEPS)
        ends = np.cumsum(left)
        return int(np.searchsorted(ends, int(self._numbers[at] * ends[-1]), side="right"))

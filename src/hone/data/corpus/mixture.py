"""`Shares`: how much of each source an epoch holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """Documents and characters of a source."""

    name: str
    documents: int
    characters: int


def tempered(characters: FloatArray, *, power: float, most: float) -> FloatArray:
    """How often documents of each kind come where all would come once, float64 [kinds]: by inverse size to a power,
    ``most`` times the commonest at most, and the same text in all.

    Args:
        characters: Of each kind, above 0.
    """
    times = np.minimum(most, (characters.max() / characters) ** power)
    scaled: FloatArray = times * characters.sum() / (times * characters).sum()
    return scaled


@dataclass(frozen=True)
class Shares:
    """How an epoch is made up.

    Attributes:
        of_characters: Each source's part of the characters.
        passes: How often an epoch goes over each source.
    """

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
        return cls(tuple(part.tolist()), tuple(passes.tolist()))

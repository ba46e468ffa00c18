"""N-grams of a text that is given as its units: words, characters or token ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

Units = Sequence[Hashable]
Ngram = tuple[Hashable, ...]


def count(units: Units, n: int) -> Counter[Ngram]:
    """How often every ``n`` units that stand beside each other do so; nothing of a shorter text."""
    return Counter(zip(*(units[i:] for i in range(n)), strict=False))

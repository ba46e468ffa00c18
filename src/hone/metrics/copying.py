"""What written texts take over from their sources. A text is given as its units (`hone.text.units`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hone.metrics.classification import FloatArray
from hone.metrics.ngrams import Units, count

COPY_ORDERS = (1, 2, 3, 4)
COPY_COLUMNS = 2 * len(COPY_ORDERS)


def copy_tally(sources: Sequence[Units], said: Sequence[Units]) -> FloatArray:
    """Of each text, float64 [texts, 8]: its n-grams that stand in its source, for n = 1 to 4, then its n-grams. An
    n-gram counts as often as the text has it.

    Raises:
        ValueError: Lengths differ.
    """
    if len(sources) != len(said):
        raise ValueError(f"every text must have a source, got {len(said)} texts and {len(sources)} sources")
    out = np.zeros((len(said), COPY_COLUMNS))
    for column, n in enumerate(COPY_ORDERS):
        for at, (source, text) in enumerate(zip(sources, said, strict=True)):
            there, written = count(source, n), count(text, n)
            out[at, column] = sum(times for ngram, times in written.items() if ngram in there)
            out[at, len(COPY_ORDERS) + column] = written.total()
    return out


def copied_ngrams(tally: FloatArray) -> dict[str, float | None]:
    """``copied_1`` to ``copied_4``: share of the n-grams of the texts of a tally, float64 [texts, 8], that stand in
    their sources; None of none. A tally equals its sum."""
    found, written = tally.sum(axis=0).reshape(2, -1).tolist()
    parts = zip(COPY_ORDERS, found, written, strict=True)
    return {f"copied_{n}": there / total if total else None for n, there, total in parts}


def novel_ngrams(tally: FloatArray) -> dict[str, float | None]:
    """``novel_1`` to ``novel_4``: the share that does not (See et al. 2017), ``1 - copied_n``."""
    shares = zip(COPY_ORDERS, copied_ngrams(tally).values(), strict=True)
    return {f"novel_{n}": None if share is None else 1 - share for n, share in shares}

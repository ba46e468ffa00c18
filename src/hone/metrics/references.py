"""Written texts against their references as wholes: length and identity."""

from __future__ import annotations

from collections.abc import Sequence, Sized

import numpy as np

from hone.metrics.answers import exact_match
from hone.metrics.classification import FloatArray
from hone.metrics.ngrams import Units

REFERENCE_COLUMNS = 4


def check_references(gold: Sequence[Sized], said: Sized) -> None:
    """Raise unless every text that was written has a reference.

    Args:
        gold: The references of each text.
        said: The texts that were written.

    Raises:
        ValueError: Lengths differ, or a text has no reference.
    """
    if len(gold) != len(said):
        raise ValueError(f"as many texts must be written as have references, got {len(said)} and {len(gold)}")
    bare = next((at for at, references in enumerate(gold) if not len(references)), None)
    if bare is not None:
        raise ValueError(f"every text must have a reference, text {bare} has none")


def reference_tally(gold: Sequence[Sequence[Units]], said: Sequence[Units]) -> FloatArray:
    """Of each text, float64 [texts, 4]: its units, those of the reference nearest in length (of two the shorter),
    whether it is one of its references, 1.

    Args:
        gold: The references of each text, at least one.
        said: The texts that were written.

    Raises:
        ValueError: Lengths differ, or a text has no reference.
    """
    check_references(gold, said)
    rows = []
    for references, text in zip(gold, said, strict=True):
        nearest = min(map(len, references), key=lambda length: (abs(length - len(text)), length))
        rows.append((len(text), nearest, exact_match(references, text), 1))
    return np.array(rows, dtype=np.float64).reshape(-1, REFERENCE_COLUMNS)


def against_references(tally: FloatArray) -> dict[str, float | None]:
    """``length_ratio``, units written over units of the references, and ``exact_match``, the share of texts that are
    one of their references; None of none. A tally, float64 [texts, 4], equals its sum."""
    written, wanted, matches, texts = tally.sum(axis=0).tolist()
    return {
        "length_ratio": written / wanted if wanted else None,
        "exact_match": matches / texts if texts else None,
    }

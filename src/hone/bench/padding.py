"""Tokens that go through a model when texts of one batch are padded to the longest of them."""

from __future__ import annotations

import numpy as np

from hone.tasks.rows import IntArray


def padded(lengths: IntArray) -> int:
    """Of one batch of texts of these lengths, int64 [texts]."""
    return int(len(lengths) * np.max(lengths, initial=0))


def padded_in_batches(lengths: IntArray, *, batch: int) -> int:
    """The same of texts that are taken ``batch`` at a time, in their order."""
    return sum(padded(lengths[at : at + batch]) for at in range(0, len(lengths), batch))

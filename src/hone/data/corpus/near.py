"""Nearly equal documents: candidates that agree in a band of their signatures (Leskovec et al. 2014), then compared."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from hone.core.disk import reserve
from hone.core.errors import HoneError
from hone.data.corpus.minhash import NONE, PERMUTATIONS, shingles, signature, similarity
from hone.data.dataset import Dataset, IntArray

ROWS = 6  # of a band: documents of similarity J are compared with probability 1 - (1 - J ** ROWS) ** BANDS
BANDS = PERMUTATIONS // ROWS
NEAREST, FIRST = 8, 8  # of those that agree in a band: how many a document is compared with
COMPARED_AT_ONCE = 8192


def near_repeats(rows: Dataset, chosen: IntArray, *, least: float, size: int, folder: Path) -> IntArray:
    """Those of the rows ``chosen`` that are nearly equal to an earlier one of them that stays, int64, ascending.

    Signatures lie in a file while this lasts, 480 bytes a document; memory is 40 bytes for each, and 16 for each band
    in which it is nearly equal to another.

    Args:
        least: Estimated Jaccard similarity from which two are nearly equal.
        size: Characters of a shingle.
        folder: Where that file may lie.

    Raises:
        HoneError: There is no room for it.
    """
    if not len(chosen):
        return chosen
    with _room(folder, len(chosen) * PERMUTATIONS * 4) as file:
        signatures = np.memmap(file, dtype=np.uint32, mode="r+", shape=(len(chosen), PERMUTATIONS))
        for i, row in enumerate(chosen.tolist()):
            signatures[i] = signature(shingles(rows.value("text", row), size))
        kept = _kept(signatures, least)
        del signatures
    return chosen[~kept]


@contextlib.contextmanager
def _room(folder: Path, size: int) -> Iterator[IO[bytes]]:
    """A file of so many bytes that is gone afterwards."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            reserve(file, size)
        except OSError as error:
            raise HoneError(
                f"the signatures of the documents, {size / 1e6:,.0f} MB, could not be written to {folder}: {error}",
                fix="Free some space, set HONE_CACHE to a roomier disk, or set duplicates to drop-exact.",
                code="corpus.signatures-not-saved",
            ) from error
        yield file


def _kept(signatures: NDArray[np.uint32], least: float) -> NDArray[np.bool_]:
    """Which documents stay, a boolean each: rounds over all bands, until one takes nothing more. In a round a document
    goes if it is nearly equal to an earlier one that stays."""
    kept = np.ones(len(signatures), dtype=np.bool_)
    while True:
        rows = np.flatnonzero(kept)
        pairs = np.concatenate([_alike(signatures, rows, band, least) for band in range(BANDS)])
        if not len(pairs):
            return kept
        for other, one in np.unique(pairs, axis=0).tolist():
            if kept[one]:
                kept[other] = False


def _alike(signatures: NDArray[np.uint32], rows: IntArray, band: int, least: float) -> IntArray:
    """Of those that agree in a band each that is nearly equal to an earlier one, and that one: int64 [pairs, 2]. Each
    is compared with the `NEAREST` before it and the `FIRST` of all: with every one, unless more agree than that."""
    keys = _keys(signatures, rows, band)
    order = np.argsort(keys, kind="stable")
    begins = np.flatnonzero(np.append(True, keys[order][1:] != keys[order][:-1]))
    begin = np.repeat(begins, np.diff(np.append(begins, len(order))))  # where those that agree with each begin
    number = np.arange(len(order)) - begin
    found = [np.zeros((0, 2), dtype=np.int64)]
    for back in range(1, NEAREST + 1):
        later = np.flatnonzero(number >= back)
        found.append(_near(signatures, rows[order[later]], rows[order[later - back]], least))
    for first in range(FIRST):
        later = np.flatnonzero(number > NEAREST + first)
        found.append(_near(signatures, rows[order[later]], rows[order[begin[later] + first]], least))
    return np.concatenate(found)


def _near(signatures: NDArray[np.uint32], others: IntArray, ones: IntArray, least: float) -> IntArray:
    """Those pairs that are nearly equal, int64 [pairs, 2]."""
    pairs = np.stack([others, ones], axis=1)
    near = [np.zeros(0, dtype=np.bool_)]
    for at in range(0, len(pairs), COMPARED_AT_ONCE):
        other, one = (signatures[pairs[at : at + COMPARED_AT_ONCE, side]] for side in (0, 1))
        near.append((similarity(one, other) >= least) & (one[:, 0] != NONE))
    found: IntArray = pairs[np.concatenate(near)]
    return found


def _keys(signatures: NDArray[np.uint32], rows: IntArray, band: int) -> NDArray[np.uint64]:
    """One number for what each row has in a band, uint64 [rows]."""
    keys = np.zeros(len(rows), dtype=np.uint64)
    for column in range(band * ROWS, (band + 1) * ROWS):
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + signatures[rows, column]
    return keys

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

    Signatures lie in a file while this lasts, 480 bytes a document; memory is 50 bytes for each.

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
    """Which documents stay, a boolean each: one band after another, over and over, until all of them in turn take
    nothing more. So of those that stay none was found to be nearly equal to another, and each that goes is nearly equal
    to an earlier one that stayed until then."""
    kept = np.ones(len(signatures), dtype=np.bool_)
    left = len(kept) + 1
    while (now := int(np.count_nonzero(kept))) < left:
        left = now
        for band in range(BANDS):
            _take(signatures, kept, band, least)
    return kept


def _take(signatures: NDArray[np.uint32], kept: NDArray[np.bool_], band: int, least: float) -> None:
    """Strike from ``kept`` each document, in their order, that is nearly equal to an earlier one that stays and agrees
    with it in a band. Each is compared with the `NEAREST` before it that agree and the `FIRST` of all: with every one,
    unless more agree than that."""
    rows = np.flatnonzero(kept)
    order, begin = _agreeing(_keys(signatures, rows, band))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    for at in range(0, len(rows), COMPARED_AT_ONCE):  # what is found at once is bounded
        here = place[at : at + COMPARED_AT_ONCE]
        number = here - begin[here]
        pairs = [np.zeros((0, 2), dtype=np.int64)]
        for back in range(1, NEAREST + 1):
            later = here[number >= back]
            pairs.append(np.stack([order[later], order[later - back]], axis=1))
        for first in range(FIRST):
            later = here[number > NEAREST + first]
            pairs.append(np.stack([order[later], order[begin[later] + first]], axis=1))
        found = rows[np.concatenate(pairs)]
        for other, one in np.unique(_near(signatures, found[kept[found[:, 1]]], least), axis=0).tolist():
            if kept[one]:
                kept[other] = False


def _agreeing(keys: NDArray[np.uint64]) -> tuple[IntArray, IntArray]:
    """An order in which those of one key stand side by side, as they did among one another, and of each place in it
    where those begin that have the key of that place: int64 [keys] both."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begin = np.arange(len(keys))
    begin[1:][keys[1:] == keys[:-1]] = 0
    return order, np.maximum.accumulate(begin)


def _near(signatures: NDArray[np.uint32], pairs: IntArray, least: float) -> IntArray:
    """Those pairs that are nearly equal, int64 [pairs, 2]."""
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

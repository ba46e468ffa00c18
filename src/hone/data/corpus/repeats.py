"""`without_repeats`: the documents that are left where those are taken that stood there before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hone.core.lineage import digest_value
from hone.data.cache import stored
from hone.data.corpus.card import Taken
from hone.data.corpus.near import near_repeats
from hone.data.corpus.scan import DIGEST, HASH_BYTES, ROWS_AT_ONCE
from hone.data.corpus.settings import CorpusSettings
from hone.data.dataset import CHARACTERS, Dataset, IntArray

NEAR_VERSION = 3  # raised whenever other near-duplicates are found
FOUND = pa.schema([("row", pa.int64())])


def without_repeats(
    rows: Dataset, settings: CorpusSettings, *, folder: Path
) -> tuple[IntArray | None, Sequence[Taken]]:
    """The rows to keep, ascending, None where all are; and what was taken. Near-duplicates are kept in ``folder``, for
    they take long to find."""
    if settings.duplicates == "keep":
        return None, []
    again = exact_repeats(rows)
    chosen = _without(np.arange(len(rows)), again)
    taken = [taken_for("exact_duplicates", rows, again, seen=len(rows))]
    if settings.duplicates == "drop-near":
        near = _found_before(rows, chosen, settings, folder=folder)
        taken.append(taken_for("near_duplicates", rows, near, seen=len(chosen)))
        chosen = _without(chosen, near)
    return chosen, taken


def _without(rows: IntArray, gone: IntArray) -> IntArray:
    """Those of the ascending ``rows`` that are not among ``gone``, which are."""
    left = np.ones(len(rows), dtype=np.bool_)
    left[np.searchsorted(rows, gone)] = False
    return rows[left]


def _found_before(rows: Dataset, chosen: IntArray, settings: CorpusSettings, *, folder: Path) -> IntArray:
    key = digest_value({"near": NEAR_VERSION, "of": rows.digest, "least": settings.near, "size": settings.shingle})

    def find() -> Iterator[pa.RecordBatch]:
        near = near_repeats(rows, chosen, least=settings.near, size=settings.shingle, folder=folder)
        yield pa.RecordBatch.from_arrays([pa.array(near, pa.int64())], schema=FOUND)

    return np.array(stored(folder, key, FOUND, find).column("row").to_numpy())


def exact_repeats(rows: Dataset) -> IntArray:
    """Rows whose text stood in an earlier one, by a hash of 128 bits, int64, ascending: 30 bytes of memory a row."""
    hashes = _hashes(rows)
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(len(rows), dtype=np.bool_)
    for at in range(1, len(rows), ROWS_AT_ONCE):
        here = order[at - 1 : at + ROWS_AT_ONCE]
        again[here[1:]] = hashes[here[1:]] == hashes[here[:-1]]
    return np.flatnonzero(again)


def taken_for(name: str, rows: Dataset, gone: IntArray, *, seen: int) -> Taken:
    """What the card says of the rows ``gone``, ascending, of ``seen`` that came to ``name``."""
    file, line = rows.place(int(gone[0])) if len(gone) else ("", None)
    parts = (rows.values(CHARACTERS, gone[at : at + ROWS_AT_ONCE]) for at in range(0, len(gone), ROWS_AT_ONCE))
    example = f"{file}:{line}" if file else ""
    return Taken(name=name, seen=seen, documents=len(gone), characters=sum(map(sum, parts)), example=example)


def found_in(rows: Dataset, other: Dataset) -> IntArray:
    """Rows whose text stands in ``other`` too, by the same hash, int64, ascending."""
    return np.flatnonzero(np.isin(_hashes(rows), _hashes(other)))


def _hashes(rows: Dataset) -> NDArray[np.void]:
    """Of each text, `HASH_BYTES` [rows]."""
    hashes = np.empty(len(rows), dtype=f"V{HASH_BYTES}")
    at = 0
    for part in rows.parts(DIGEST):
        hashes[at : at + len(part)] = np.frombuffer(b"".join(part.to_pylist()), dtype=hashes.dtype)
        at += len(part)
    return hashes

"""Embeddings on the disk while an index is made, so that a run which is stopped goes on where it was.

They lie beside the index, in one file that grows part by part, with a note of how many are whole and what decides them:
the bundle, the texts, the settings. What a run of something else left is told and not used.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hone.core.disk import write_atomically
from hone.core.errors import BundleError, HoneError
from hone.core.lock import locked_file
from hone.core.progress import Progress

VECTORS, NOTE, LOCK = "vectors.bin", "kept.json", "lock"
ROWS_AT_ONCE = 8192


class KeptVectors:
    """Vectors that are written part by part and stay until the index is whole.

    Attributes:
        folder: Where they are.
        rows: How many are on the disk for good.
        width: How many numbers each has; 0 before the first.
        belongs: What decides them.
    """

    def __init__(self, folder: Path, belongs: Mapping[str, Any], *, precision: str) -> None:
        self.folder, self.rows, self.width = folder, 0, 0
        self.belongs, self._precision = dict(belongs), precision

    @property
    def file(self) -> Path:
        """All vectors, one after another."""
        return self.folder / VECTORS

    def take_up(self) -> str:
        """Take up what another run left here, or begin anew; returns why nothing of it is used, or nothing."""
        why, found = self._found()
        with _saving(self.folder):
            if found is None:
                self._note(0, 0)
                self.file.write_bytes(b"")
            else:
                self.rows, self.width = found
                os.truncate(self.file, self._bytes(*found))  # what was written and never noted
        return why

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Write the next ``vectors`` [rows, width]; they are on the disk when it returns.

        Raises:
            HoneError: The disk is full, say; those before are untouched.
        """
        with _saving(self.folder):
            with self.file.open("ab") as file:
                file.write(vectors.astype(self._precision).tobytes())
                file.flush()
                os.fsync(file.fileno())
            self._note(self.rows + len(vectors), vectors.shape[1])
        self.rows, self.width = self.rows + len(vectors), vectors.shape[1]

    def parts(self) -> Iterator[NDArray[Any]]:
        """The vectors [rows, width], some at a time, read and not mapped: what is done with is no longer in memory."""
        with self.file.open("rb") as file:
            for at in range(0, self.rows, ROWS_AT_ONCE):
                count = min(ROWS_AT_ONCE, self.rows - at) * self.width
                yield np.fromfile(file, dtype=self._precision, count=count).reshape(-1, self.width)

    def give(self, to: Path) -> None:
        """The file of all vectors at ``to``, on the same disk: under a second name where it has such."""
        try:
            os.link(self.file, to)
        except OSError:
            shutil.copyfile(self.file, to)

    def _bytes(self, rows: int, width: int) -> int:
        return rows * width * np.dtype(self._precision).itemsize

    def _note(self, rows: int, width: int) -> None:
        note = {"belongs": self.belongs, "rows": rows, "width": width}
        write_atomically(self.folder / NOTE, json.dumps(note).encode())

    def _found(self) -> tuple[str, tuple[int, int] | None]:
        """Why nothing of what is there is used, and rows and width of what is."""
        if not (self.folder / NOTE).is_file():
            return "", None
        try:
            note = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
            belongs, found = note["belongs"], (int(note["rows"]), int(note["width"]))
            whole = self.file.stat().st_size >= self._bytes(*found)
            other = [name for name, value in self.belongs.items() if belongs[name] != value]
        except (OSError, ValueError, KeyError, TypeError):
            return "are damaged", None
        if other:
            return f"belong to other {' and '.join(other)}", None
        return ("", found) if whole else ("are damaged", None)


@contextlib.contextmanager
def kept_vectors(
    target: Path, belongs: Mapping[str, Any], *, precision: str, progress: Progress
) -> Iterator[KeptVectors]:
    """The vectors for an index at ``target``: those that a run left which was not finished, or none yet. They are
    removed at the end, and stay where there is none.

    Args:
        belongs: What decides the vectors: a name that is shown -> a value of JSON.
        precision: numpy's name of what each number is kept in.

    Raises:
        BundleError: Another process is making the same index.
        HoneError: They cannot be kept there.
    """
    folder = target.parent / f".{target.name}.unfinished"
    with _saving(folder):
        lock = _alone(folder, target)
    with lock:
        kept = KeptVectors(folder, belongs, precision=precision)
        why = kept.take_up()
        if why:
            progress.say(f"the embeddings that {folder} keeps {why}: begun anew")
        try:
            yield kept
        except BaseException:
            if kept.rows:
                progress.say(f"{kept.rows:,} embeddings are kept in {folder}: the same command goes on from there")
            else:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _saving(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HoneError(
            f"embeddings could not be written to {folder}: {error}",
            fix="Free some space, then give the same command again: it goes on from there. Or name another --out.",
            code="search.not-saved",
        ) from error


def _alone(folder: Path, target: Path) -> IO[str]:
    """Hold what is kept for ``target`` until the file is closed."""
    try:
        return locked_file(folder / LOCK, of=target)
    except BlockingIOError as error:
        raise BundleError(
            f"another process is making the index {target}",
            fix="Wait for it, or name another folder.",
            code="search.in-use",
        ) from error

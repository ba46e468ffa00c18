"""Which files a source names, and the one error that tells all that is wrong with data."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from hone.core.errors import FAULTS_NAMED, DataError, Fault


def error_of(faults: Sequence[Fault], count: int) -> DataError:
    """The error of ``faults``, the first of ``count``."""
    files = sorted({fault.file for fault in faults})
    more = f"\n  ... and {count - len(faults)} more" if count > len(faults) else ""
    what = f"{count} faults" if count > 1 else "a fault"
    error = DataError(f"the data cannot be used: {what} in {', '.join(files)}", faults=faults, code=faults[0].code)
    error.fix = more.lstrip("\n")
    return error


def refuse(faults: Sequence[Fault]) -> None:
    """Raise for ``faults`` where there are any.

    Raises:
        DataError: There are; the first 50 are named, all are counted.
    """
    if faults:
        raise error_of(faults[:FAULTS_NAMED], len(faults))


def paths_of(pattern: str, base: Path, *, passing: Collection[str] = ()) -> list[Path]:
    """The files that a path or a glob names; relative ones lie in ``base``.

    Args:
        passing: Codes of faults of a file that are none here.

    Raises:
        DataError: There is none, or one is a folder (``data.folder``), is empty (``data.empty``) or may not be read.
    """
    path = Path(pattern).expanduser()
    globbed = glob.glob(str(path), root_dir=base, recursive=True) if is_glob(pattern) else []
    paths = sorted(base / match for match in globbed) or [base / path]
    if not globbed and not paths[0].exists():
        parent = paths[0].parent
        near = difflib.get_close_matches(paths[0].name, os.listdir(parent) if parent.is_dir() else [], n=3)
        start = "" if path.is_absolute() else f"Relative paths start at {base.absolute()}."
        fix = f"Did you mean {', '.join(near)}?" if near else start
        raise error_of([Fault("data.missing", "no such file", "a data file", file=pattern, fix=fix)], 1)
    faults = [fault for fault in map(_unusable, paths) if fault is not None]
    refuse([fault for fault in faults if fault.code not in passing])
    return paths


def is_glob(pattern: str) -> bool:
    """Whether it may name several files."""
    return any(sign in pattern for sign in "*?[")


def one_each(names: Mapping[str, Sequence[str]], base: Path) -> dict[str, list[Path]]:
    """The file of each name, for each field.

    Raises:
        DataError: One is not there or cannot be used, or a glob names several; all such faults are told.
    """
    found: dict[str, list[Path]] = {}
    faults: list[Fault] = []
    for field, each in names.items():
        found[field] = []
        for name in each:
            try:
                paths = paths_of(name, base)
            except DataError as error:
                faults += error.faults
                continue
            if len(paths) > 1:
                faults.append(Fault("data.several-files", f"{len(paths)} files", "one", file=name, field=field))
            found[field] += paths
    faults += unrepeatable(path for paths in found.values() for path in paths)
    refuse(faults)
    return found


def is_pipe(path: Path) -> bool:
    """Whether it is there and can be read only once: a pipe, a terminal, a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


def unrepeatable(paths: Iterable[Path]) -> list[Fault]:
    """A fault for each that can be read only once."""
    return [
        Fault("data.pipe", "a pipe or a device", "a regular file, for it is read more than once", file=str(path),
              fix="Write it to a file first.")
        for path in paths
        if is_pipe(path)
    ]  # fmt: skip


def _unusable(path: Path) -> Fault | None:
    if path.is_dir():
        return Fault("data.folder", "a folder", "a file", file=str(path), fix="Name its files: FOLDER/*.jsonl")
    if not os.access(path, os.R_OK):
        return Fault("data.unreadable", "a file that may not be read", "read permission", file=str(path))
    if path.is_file() and path.stat().st_size == 0:
        return Fault("data.empty", "an empty file", "at least one row", file=str(path))
    return None

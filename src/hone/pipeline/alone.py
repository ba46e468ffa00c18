"""`alone_in`: one run at a time in a folder. Two of them would take up each other's checkpoints and write one log."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hone.core.errors import HoneError, RecipeError
from hone.core.processes import place

LOCK = ".running"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Within it no other run goes on in ``folder``, which is made; of several processes the first one sees to that. The
    system forgets it with the process, however that ends.

    Raises:
        RecipeError: Another run goes on there.
        HoneError: The folder cannot be written.
    """
    if not place().first:
        yield
        return
    path = folder / LOCK
    with _opened(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RecipeError(
                f"another run goes on in {folder} (process {lock.read().strip()})",
                expected="a folder of its own",
                fix="Wait for it or end it, or name another folder: --out.",
                code="run.in-use",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise HoneError(
            f"{path.parent} could not be written: {error}",
            fix="Name a folder with --out that can be written.",
            code="run.not-written",
        ) from error

"""`alone_in`: one run at a time in a folder. Two of them would take up each other's checkpoints and write one log. What
is long before that asks `require_alone` first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hone.core.errors import HoneError, RecipeError
from hone.core.lock import locked_file
from hone.core.processes import place

LOCK = ".running"
LAUNCHED = "TORCHELASTIC_RUN_ID"  # which torchrun tells each process that it starts
LEASE_SECONDS = 120.0  # after which a shared folder has forgotten a machine that is lost: NFS 4 does after 90


def require_alone(folder: Path) -> None:
    """Nothing is made or changed in ``folder``; processes that are started again may find that of a machine that was
    lost, and are left to `alone_in`, which waits.

    Raises:
        RecipeError: Another run goes on there.
    """
    path = folder / LOCK
    if not place().first or _launched() or not path.is_file():
        return
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(folder) from None
        except OSError:  # no locks there: `alone_in` tells
            return


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Within it no other run goes on in ``folder``, which is made; of several processes the first one sees to that. The
    system forgets it with the process, however that ends. Processes that are started again elsewhere wait for that
    where the machine of the first one was lost. A folder whose file system has no locks is told, and used.

    Raises:
        RecipeError: Another run goes on there.
        HoneError: The folder cannot be written.
    """
    if not place().first:
        yield
        return
    with _taken(folder) as lock:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)


def _launched() -> bool:
    return place().count > 1 or LAUNCHED in os.environ


def _taken(folder: Path) -> IO[str]:
    """The file of the folder's lock, locked."""
    until = time.monotonic() + (LEASE_SECONDS if _launched() else 0)
    try:
        return locked_file(folder / LOCK, of=folder, until=until)
    except BlockingIOError:
        raise _in_use(folder) from None
    except OSError as error:
        raise HoneError(
            f"{folder} could not be written: {error}",
            fix="Name a folder with --out that can be written.",
            code="run.not-written",
        ) from error


def _in_use(folder: Path) -> RecipeError:
    process = ""
    with contextlib.suppress(OSError):  # it has just ended
        process = (folder / LOCK).read_text(encoding="utf-8").strip()
    return RecipeError(
        f"another run goes on in {folder} (process {process})",
        expected="a folder of its own",
        fix="Wait for it or end it, or name another folder: --out.",
        code="run.in-use",
    )

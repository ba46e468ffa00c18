"""`locked_file`: one process at a time, held as long as a file is open. The system forgets it with the process, however
that ends."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import IO

logger = logging.getLogger("hone.core")


def locked_file(path: Path, *, of: Path, until: float = 0.0) -> IO[str]:
    """The file at ``path``, made with its folder where it is not there, open to read and write, and locked. Where the
    file system has no locks that is told, and the file is given as it is.

    Args:
        of: What nobody else may work on meanwhile, as it is told.
        until: How long another one is waited for, by `time.monotonic`.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: It cannot be made.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)
            continue
        except OSError as error:
            logger.warning("%s cannot be locked (%s): see to it that no other process works on it", of, error)
            return file
        if _is_there(path, file):
            return file
        file.close()  # whoever has just ended removed it: another that comes would lock a new one


def _is_there(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False

"""Files that are there whole or not at all, and that the disk has room for before they are mapped into memory."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hone.core.errors import HoneError

ZEROS_AT_ONCE = 1 << 24
NAME_CHARACTERS = 48  # of the file's own, in the name of its temporary sibling
UNKNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # of file systems that set nothing aside


@contextlib.contextmanager
def appearing(path: Path, *, encoding: str | None = None, mode: int = 0o644) -> Iterator[IO[Any]]:
    """A file to write that is at ``path``, in place of what lay there, when the block ends well, and never else: until
    then it is a temporary sibling. Readers see the old content or the new, after a crash too.

    Args:
        encoding: Of a file for text; None: for bytes, which may be read as well.
        mode: Permissions.

    Raises:
        OSError: It cannot be written; what lay at ``path`` is untouched.
    """
    handle, partial = tempfile.mkstemp(prefix=f".{path.name[:NAME_CHARACTERS]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w+b") if encoding is None else os.fdopen(handle, "w", encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, mode)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def not_writable(folder: Path, error: Exception) -> HoneError:
    """What is told where a folder of the cache cannot be written to, or is full."""
    return HoneError(
        f"the cache folder {folder} cannot be written to: {getattr(error, 'strerror', None) or error}",
        fix="Free some space, or set HONE_CACHE to a folder that can be.",
        code="cache.not-writable",
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file as `appearing` does."""
    with appearing(path) as file:
        file.write(content)


def reserve(file: IO[bytes], size: int) -> None:
    """Make an empty ``file`` that many bytes of zeros which the disk has set aside. Of a file without them a disk that
    fills up would be found while it is written through a map, and that kills the process.

    Raises:
        OSError: The disk has no room for them.
    """
    if not size:
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
        return
    except AttributeError:  # no such call on this system
        pass
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
    for at in range(0, size, ZEROS_AT_ONCE):
        file.write(bytes(min(ZEROS_AT_ONCE, size - at)))
    file.flush()

"""`FileState`: a file as it was when it was digested. What is kept under that digest was read of the same file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hone.core.errors import Fault
from hone.core.lineage import digest_file
from hone.data.paths import refuse


@dataclass(frozen=True, kw_only=True)
class FileState:
    """A file, its size, when it was last written to, and its digest."""

    path: Path
    bytes: int
    modified_ns: int
    digest: str

    @classmethod
    def of(cls, path: Path, **more: Any) -> Self:
        """The file as it is now.

        Raises:
            OSError: It cannot be read.
        """
        state = path.stat()  # before it is read: what is written meanwhile is no part of this
        digest = digest_file(path)
        return cls(path=path, bytes=state.st_size, modified_ns=state.st_mtime_ns, digest=digest, **more)

    def unchanged(self) -> Fault | None:
        """The fault of a file that is no longer what it was."""
        try:
            now = self.path.stat()
        except OSError:
            return vanished(self.path)
        if (now.st_size, now.st_mtime_ns) == (self.bytes, self.modified_ns):
            return None
        found = f"{now.st_size:,} bytes" if now.st_size != self.bytes else "other content"
        return Fault(
            "data.changed",
            f"{found} where {self.bytes:,} were read first: it changed while it was read",
            "a file that nobody writes to",
            file=str(self.path),
            fix="Read a copy, or wait until it is whole.",
        )


def vanished(path: Path) -> Fault:
    """The fault of a file that is there no more."""
    return Fault("data.vanished", "no such file any more", "a file that stays", file=str(path))


def require_unchanged(files: Iterable[FileState]) -> None:
    """Raise unless the files are what they were.

    Raises:
        DataError: They are not.
    """
    refuse([fault for file in files if (fault := file.unchanged()) is not None])

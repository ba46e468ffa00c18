"""Arrays and texts in files, read through a memory map."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def mapped(file: Path, dtype: DTypeLike, *, width: int | None = None) -> NDArray[Any]:
    """The numbers of ``file`` as [n], or [n, width]; a map of nothing is an empty array."""
    if not file.stat().st_size:
        return np.zeros((0, width) if width else 0, dtype=dtype)
    found = np.memmap(file, dtype=dtype, mode="r")
    return found.reshape(-1, width) if width else found


class TextWriter:
    """Writes texts one after another: ``NAME.utf8`` has them all, ``NAME.ends`` where each ends, int64, in bytes."""

    def __init__(self, folder: Path, name: str) -> None:
        self._texts: IO[bytes] = (folder / f"{name}.utf8").open("wb")
        self._ends: IO[bytes] = (folder / f"{name}.ends").open("wb")
        self._at = 0

    def write(self, texts: Iterable[str]) -> None:
        parts = [text.encode("utf-8") for text in texts]
        ends = self._at + np.cumsum([len(part) for part in parts], dtype=np.int64)
        self._texts.write(b"".join(parts))
        self._ends.write(ends.tobytes())
        self._at = int(ends[-1]) if len(ends) else self._at

    def close(self) -> None:
        self._texts.close()
        self._ends.close()


class Texts:
    """The texts that a `TextWriter` wrote."""

    def __init__(self, folder: Path, name: str) -> None:
        self._texts = mapped(folder / f"{name}.utf8", np.uint8)
        self._ends = mapped(folder / f"{name}.ends", np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> str:
        start = int(self._ends[row - 1]) if row else 0
        return bytes(self._texts[start : int(self._ends[row])]).decode("utf-8")

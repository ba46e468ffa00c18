"""`stored`: Arrow tables made once, kept in a folder under a key, memory-mapped ever after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from hone.core.disk import appearing, not_writable


def default_cache() -> Path:
    """``HONE_CACHE``, else ``XDG_CACHE_HOME/hone``, else ``~/.cache/hone``."""
    if "HONE_CACHE" in os.environ:
        return Path(os.environ["HONE_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hone"


def stored(folder: Path, key: str, schema: pa.Schema, build: Callable[[], Iterable[pa.RecordBatch]]) -> pa.Table:
    """The table kept under ``key``, memory-mapped; written first where there is none, or a damaged one.

    Args:
        build: Gives the record batches, one at a time: memory holds one. What it raises leaves nothing behind.

    Raises:
        HoneError: The folder cannot be written to, or is full.
    """
    path = folder / f"{key}.arrow"
    table = _opened(path, schema)
    if table is not None:
        return table
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with appearing(path, mode=0o600) as file, pa.ipc.new_file(file, schema) as writer:
            for batch in _given(build):
                writer.write_batch(batch)
    except _NotOurs as error:
        raise error.why from None
    except OSError as error:
        raise not_writable(folder, error) from error
    table = _opened(path, schema)
    assert table is not None, path
    return table


class _NotOurs(Exception):
    """An error of what gives the batches, which says nothing of the folder that they go to."""

    def __init__(self, why: OSError) -> None:
        self.why = why


def _given(build: Callable[[], Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    try:
        yield from build()
    except OSError as error:
        raise _NotOurs(error) from error


def _opened(path: Path, schema: pa.Schema) -> pa.Table | None:
    """The table in ``path``, or None when there is none or it is not whole."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)  # offsets that point outside would crash whoever reads them
    except (OSError, pa.ArrowException):
        return None
    return table if table.schema.equals(schema) else None

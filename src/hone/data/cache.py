"""`stored`: Arrow tables made once, kept in a folder under a key, memory-mapped ever after."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

from hone.core.disk import appearing
from hone.core.errors import HoneError


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
        HoneError: The folder cannot be written to.
    """
    path = folder / f"{key}.arrow"
    table = _opened(path, schema)
    if table is not None:
        return table
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(appearing(path, mode=0o600))
        except OSError as error:
            raise HoneError(
                f"the cache folder {folder} cannot be written to: {error.strerror}",
                fix="Set HONE_CACHE to a folder that can be.",
                code="cache.not-writable",
            ) from error
        with pa.ipc.new_file(file, schema) as writer:
            for batch in build():
                writer.write_batch(batch)
    table = _opened(path, schema)
    assert table is not None, path
    return table


def _opened(path: Path, schema: pa.Schema) -> pa.Table | None:
    """The table in ``path``, or None when there is none or it is not whole."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)  # offsets that point outside would crash whoever reads them
    except (OSError, pa.ArrowException):
        return None
    return table if table.schema.equals(schema) else None

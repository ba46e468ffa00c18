"""`Dataset`: rows in columns, memory-mapped, immutable, with a digest of what they are and a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hone.core.lineage import digest_bytes, digest_value
from hone.data.fields import Field

LINE, FILE = "_line", "_file"  # columns that say where a row came from


class Dataset:
    """Rows of one split.

    Attributes:
        name: Its role, such as ``train``.
        table: The Arrow table; besides the fields it may hold ``_line`` and ``_file``.
        digest: sha256 of what decides the content: no path, no clock.
        origin: The source as the user named it.
        files: Names that ``_file`` counts in.
    """

    def __init__(self, name: str, table: pa.Table, *, digest: str, origin: str, files: tuple[str, ...] = ()) -> None:
        self.name, self.table, self.digest, self.origin, self.files = name, table, digest, origin, files

    @classmethod
    def from_columns(cls, name: str, columns: Mapping[str, Sequence[Any]]) -> Dataset:
        """A dataset over Python values."""
        values = {key: list(column) for key, column in columns.items()}
        return cls(name, pa.table(values), digest=digest_value(values), origin="memory")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(name for name in self.table.column_names if not name.startswith("_"))

    def column(self, name: str) -> list[Any]:
        """One field of all rows, as Python values."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def having(self, fields: Iterable[Field]) -> list[str]:
        """Names of those of ``fields`` that its rows have."""
        return [field.name for field in fields if field.name in self.columns]

    def longest(self, name: str) -> int:
        """Most characters of any text, or of any word of a list, in a field; 0 where there is none."""
        column = self.table.column(name)
        texts = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        return int(pc.max(pc.utf8_length(texts)).as_py() or 0)

    def slice(self, start: int, stop: int) -> dict[str, list[Any]]:
        """All fields of some rows, as Python values."""
        part = self.table.slice(start, max(0, stop - start))
        return {name: part.column(name).to_pylist() for name in self.columns}

    def row(self, index: int) -> dict[str, Any]:
        """One row."""
        return {name: values[0] for name, values in self.slice(index, index + 1).items()}

    def take(self, indices: NDArray[np.int64], *, name: str = "") -> Dataset:
        """The rows ``indices``, in their order; the digest names the old one and the choice."""
        chosen = np.asarray(indices, dtype=np.int64)
        digest = digest_value({"of": self.digest, "rows": digest_bytes(chosen.tobytes())})
        return Dataset(
            name or self.name, self.table.take(pa.array(chosen)), digest=digest, origin=self.origin, files=self.files
        )

    def place(self, index: int) -> tuple[str, int | None]:
        """File and 1-based line that a row came from; the origin and no line where that is unknown."""
        if LINE not in self.table.column_names:
            return self.origin, None
        file = self.files[self.table.column(FILE)[index].as_py()]
        return file, int(self.table.column(LINE)[index].as_py())

"""`Dataset`: rows in columns, memory-mapped, immutable, with a digest of what they are and a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hone.core.lineage import digest_bytes, digest_value
from hone.data.fields import Field
from hone.data.values import NUMBERED

LINE, FILE = "_line", "_file"  # columns that say where a row came from
CHARACTERS = "_characters"  # column that says how long a row's text is, where rows may be very long
ROWS_AT_ONCE = 4096
CHARACTERS_AT_ONCE = 1 << 20  # of rows that are read as Python values together; their tokens take some 200 bytes each
IntArray = NDArray[np.int64]


class Dataset:
    """Rows of one split.

    Attributes:
        name: Its role, such as ``train``.
        digest: sha256 of what decides the content: no path, no clock.
        origin: The source as the user named it.
        files: Names that ``_file`` counts in.
        left_out: Label -> how often it stood in these rows, or in rows that are no longer among them, and was left out.

    Args:
        table: The Arrow table; besides the fields it may hold ``_line``, ``_file`` and ``_numbered``.
        chosen: The rows of the table that it has, in their order; None: all. They are not copied out of a table that
            is memory-mapped.
        only: Field -> the labels that count in its lists; all where it is not named.
    """

    def __init__(
        self,
        name: str,
        table: pa.Table,
        *,
        digest: str,
        origin: str,
        files: tuple[str, ...] = (),
        chosen: IntArray | None = None,
        only: Mapping[str, Sequence[str]] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.name, self.digest, self.origin, self.files = name, digest, origin, files
        self.left_out = dict(left_out or {})
        self._table, self._chosen, self._only = table, chosen, dict(only or {})

    @classmethod
    def from_columns(cls, name: str, columns: Mapping[str, Sequence[Any]]) -> Dataset:
        """A dataset over Python values."""
        values = {key: list(column) for key, column in columns.items()}
        return cls(name, pa.table(values), digest=digest_value(values), origin="memory")

    def __len__(self) -> int:
        return int(self._table.num_rows) if self._chosen is None else len(self._chosen)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(name for name in self._table.column_names if not name.startswith("_"))

    def column(self, name: str) -> list[Any]:
        """One field of all rows, as Python values: for few rows, since each is an object."""
        return [value for part in self.parts(name) for value in part.to_pylist()]

    def parts(self, name: str) -> Iterator[pa.ChunkedArray]:
        """One field as Arrow has it, so many rows at a time."""
        field = self._table.select([name])  # of rows that were chosen the other fields would be copied, too
        for at in range(0, len(self), ROWS_AT_ONCE):
            yield self._part(at, at + ROWS_AT_ONCE, of=field).column(name)

    def holds(self, name: str) -> Literal["label", "labels", "other"]:
        """Whether a field has one label a row, or tags or labels in a list; ``other`` where it is not there, too."""
        if name not in self.columns:
            return "other"
        kind = self._table.schema.field(name).type
        if pa.types.is_list(kind):
            return "labels" if pa.types.is_string(kind.value_type) else "other"
        return "label" if pa.types.is_string(kind) else "other"

    def distinct(self, name: str) -> list[Any]:
        """The different values of a field of labels, in the order of their first rows; of one of lists of labels one
        list of all different labels. Of a field of another kind every value."""
        holds = self.holds(name)
        if holds == "other":
            return self.column(name)
        seen: dict[Any, None] = {}
        for part in self.parts(name):
            seen.update(dict.fromkeys(pc.unique(pc.list_flatten(part) if holds == "labels" else part).to_pylist()))
        return [list(seen)] if holds == "labels" else list(seen)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A field of numbers, float64 [rows]."""
        parts = [np.asarray(part.to_numpy(), dtype=np.float64) for part in self.parts(name)]
        return np.concatenate([np.zeros(0), *parts])

    def having(self, fields: Iterable[Field]) -> list[str]:
        """Names of those of ``fields`` that its rows have."""
        return [field.name for field in fields if field.name in self.columns]

    def longest(self, name: str) -> int:
        """Most characters of any text, or of any word of a list, in a field; 0 where there is none."""
        most = 0
        for part in self.parts(name):
            texts = pc.list_flatten(part) if pa.types.is_list(part.type) else part
            most = max(most, pc.max(pc.utf8_length(texts)).as_py() or 0)
        return most

    def portions(self) -> Iterator[tuple[int, int]]:
        """Begins and ends of the rows to be read together: at most `ROWS_AT_ONCE`, and where rows say how long they are
        no more than `CHARACTERS_AT_ONCE`, or a single one."""
        for begin in range(0, len(self), ROWS_AT_ONCE):
            rows = np.arange(begin, min(begin + ROWS_AT_ONCE, len(self)))
            sizes = self.values(CHARACTERS, rows) if CHARACTERS in self._table.column_names else [0] * len(rows)
            at, size = begin, 0
            for row, more in enumerate(sizes, start=begin):
                if row > at and size + more > CHARACTERS_AT_ONCE:
                    yield at, row
                    at, size = row, 0
                size += more
            yield at, begin + len(rows)

    def slice(self, start: int, stop: int) -> dict[str, list[Any]]:
        """All fields of some rows, as Python values."""
        part = self._part(start, stop, of=self._table)
        return {name: part.column(name).to_pylist() for name in self.columns}

    def row(self, index: int) -> dict[str, Any]:
        """One row."""
        return {name: values[0] for name, values in self.slice(index, index + 1).items()}

    def value(self, name: str, index: int) -> Any:
        """One field of one row as it stands in the table; of lists of labels, those too that do not count."""
        return self._table.column(name)[index if self._chosen is None else int(self._chosen[index])].as_py()

    def values(self, name: str, rows: IntArray) -> list[Any]:
        """One field of the rows ``rows``, as Python values."""
        chosen = rows if self._chosen is None else self._chosen[rows]
        found: list[Any] = self._narrowed(_taken(self._table.select([name]), chosen)).column(name).to_pylist()
        return found

    def _part(self, start: int, stop: int, *, of: pa.Table) -> pa.Table:
        """Some rows of fields of the table."""
        if self._chosen is None:
            return self._narrowed(of.slice(start, max(0, stop - start)))
        return self._narrowed(_taken(of, self._chosen[start:stop]))

    def _narrowed(self, table: pa.Table) -> pa.Table:
        """Some rows of the table, with those labels alone that count."""
        for name in self._only.keys() & set(table.column_names):
            place = table.column_names.index(name)
            table = table.set_column(place, name, _of_those(table.column(name), self._only[name]))
        return table

    def take(self, indices: IntArray, *, name: str = "", left_out: Mapping[str, int] | None = None) -> Dataset:
        """The rows ``indices``, in their order; the digest names the old one and the choice. Where they are all that
        there are, none is chosen: a choice is looked up whenever rows are read.

        Args:
            left_out: Of what is not taken; where None and the name stays, as it was.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        digest = digest_value({"of": self.digest, "rows": digest_bytes(chosen.tobytes())})
        if len(chosen) == len(self) and (chosen == np.arange(len(self))).all():
            picked = self._chosen
        else:
            picked = chosen if self._chosen is None else self._chosen[chosen]
        kept = self.left_out if name in ("", self.name) else None
        return Dataset(
            name or self.name, self._table, digest=digest, origin=self.origin, files=self.files, chosen=picked,
            only=self._only, left_out=kept if left_out is None else left_out,
        )  # fmt: skip

    def narrowed(self, field: str, labels: Sequence[str], *, left_out: Mapping[str, int]) -> Dataset:
        """The same rows, of whose lists of labels only ``labels`` count; ``left_out`` of the others."""
        digest = digest_value({"of": self.digest, "only": {field: sorted(labels)}})
        return Dataset(
            self.name, self._table, digest=digest, origin=self.origin, files=self.files, chosen=self._chosen,
            only={**self._only, field: sorted(labels)}, left_out=left_out,
        )  # fmt: skip

    def first_numbered(self, numbered: bool) -> int | None:
        """The first row whose labels were written as numbers, or as text; None where there is none or none tells."""
        for at, part in enumerate(self.parts(NUMBERED) if NUMBERED in self._table.column_names else ()):
            found = pc.index(part, pa.scalar(numbered)).as_py()
            if found >= 0:
                return at * ROWS_AT_ONCE + int(found)
        return None

    def place(self, index: int) -> tuple[str, int | None]:
        """File and 1-based line that a row came from; the origin and no line where that is unknown."""
        if LINE not in self._table.column_names:
            return self.origin, None
        row = index if self._chosen is None else int(self._chosen[index])
        file = self.files[self._table.column(FILE)[row].as_py()]
        return file, int(self._table.column(LINE)[row].as_py())


def _of_those(lists: pa.ChunkedArray, labels: Sequence[str]) -> pa.Array:
    """The lists without labels that are not among ``labels``."""
    lists = lists.combine_chunks()
    flat = pc.list_flatten(lists)
    counts = pc.is_in(flat, pa.array(labels, pa.string()))
    rows = pc.list_parent_indices(lists).to_numpy()[counts.to_numpy(zero_copy_only=False)]
    ends = np.cumsum(np.bincount(rows, minlength=len(lists)))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), flat.filter(counts))


def _taken(table: pa.Table, rows: IntArray) -> pa.Table:
    """The rows of a table; of its parts only those from the first to the last row are looked at."""
    if not len(rows):
        return table.slice(0, 0)
    first = int(rows.min())
    return table.slice(first, int(rows.max()) + 1 - first).take(pa.array(rows - first))

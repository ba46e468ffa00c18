"""Raw rows as checked values, a batch at a time, and which fields of a row are looked at."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any

from hone.core.errors import Fault, did_you_mean
from hone.data.fields import Field
from hone.data.formats import Raw, RawRow
from hone.data.paths import refuse
from hone.data.values import RowChecker

ROWS_AT_ONCE = 4096
CHARACTERS_AT_ONCE = 1 << 24  # of the texts of a batch: what bounds memory where they are megabytes long


def kept_fields(fields: Sequence[Field], there: Container[str]) -> tuple[list[Field], list[Field]]:
    """The fields of a set, of which the first row has those named ``there``: what is read of each row, and what no row
    may have for the first one has it not. Words a row may have or not; everything else every row must have."""
    read = [f for f in fields if f.required or f.kind == "words" or f.name in there]
    return [replace(f, required=f.required or f.kind != "words") for f in read], [f for f in fields if f not in read]


def named_absent(fields: Iterable[Field], columns: Mapping[str, str]) -> set[str]:
    """Columns that are named for fields which a row may lack; `without` takes out those that some row has."""
    return {columns[field.name] for field in fields if not field.required and field.name in columns}


def absent_columns(absent: Iterable[str], *, shown: str) -> list[Fault]:
    """Faults for columns that were named and that no row has."""
    found, expected = "no such column in any row", "one, as columns says"
    return [Fault("data.column-missing", found, expected, file=shown, field=column) for column in sorted(absent)]


def checked(
    rows: Iterable[RawRow | Fault], checker: RowChecker, file: str
) -> Iterator[tuple[list[dict[str, Any]], list[Fault], list[int]]]:
    """Good rows, faults and lines of the good rows, a batch at a time; a column that no row had yet is missed once."""
    values: list[dict[str, Any]] = []
    faults: list[Fault] = []
    lines: list[int] = []
    columns = set(checker.names.values())
    had: set[str] = set()  # columns that some row had
    said: set[str] = set()  # columns whose absence is said
    size = 0
    for raw in rows:
        if isinstance(raw, Fault):
            faults.append(raw)
        else:
            value, wrong = checker.check(raw[1], file=file, line=raw[0])
            if len(had) < len(columns):
                had |= columns & raw[1].keys()
            absent = {w.field for w in wrong if w.code == "data.column-missing"}
            faults += [w for w in wrong if w.field not in (absent & said) - had]
            said |= absent
            if not wrong:
                values.append(value)
                lines.append(raw[0])
                size += sum(len(one) for one in value.values() if isinstance(one, Sized))
        if len(values) + len(faults) >= ROWS_AT_ONCE or size >= CHARACTERS_AT_ONCE:
            yield values, faults, lines
            values, faults, lines, size = [], [], [], 0
    if values or faults:
        yield values, faults, lines


def without(absent: set[str], rows: Raw) -> Raw:
    """The rows; columns that they have are no longer ``absent``."""
    for raw in rows:
        if not isinstance(raw, Fault):
            absent.difference_update(raw[1])
        yield raw


def refuse_unknown(columns: Iterable[str], fields: Iterable[Field], *, shown: str) -> None:
    """Refuse columns that are named for fields which nobody reads."""
    known = {field.name for field in fields}
    refuse(
        [
            Fault("data.unknown-field", f"a column for the unknown field {name!r}", "a field of the task", file=shown,
                  field=name, fix=did_you_mean(name, known))
            for name in columns
            if name not in known
        ]
    )  # fmt: skip

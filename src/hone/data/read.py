"""`read`: a source becomes a checked, memory-mapped dataset, or one error with every fault in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hone.core.errors import FAULTS_NAMED, Fault
from hone.core.lineage import digest_value
from hone.data.cache import stored
from hone.data.checked import absent_columns, checked, kept_fields, named_absent, refuse_unknown, without
from hone.data.choices import naming_of
from hone.data.dataset import FILE, LINE, Dataset
from hone.data.fields import Field, Kind
from hone.data.file_state import FileState, require_unchanged
from hone.data.formats import Raw
from hone.data.hub import hub_rows
from hone.data.lines import side_by_side
from hone.data.openers import Openers, formats_of, openers_of
from hone.data.pairs import hold_pairs, parted
from hone.data.paths import error_of, one_each, paths_of, refuse, unrepeatable
from hone.data.source import HUB, Source
from hone.data.values import ARROW, NUMBERED, RowChecker

READING_VERSION = 5  # raised whenever reading changes what rows hold


def read(source: Source, *choices: Sequence[Field], name: str, base: Path, cache: Path) -> Dataset:
    """Read, check and store a source.

    Args:
        choices: What every row must have; one that is not required only where the first row has it, but for words,
            which each row may have or not. Of several sets the first whose columns the first row has, else the one
            of which it lacks the fewest.
        name: The split's name.
        base: Folder that relative paths start from.
        cache: Folder that checked rows are kept in, keyed by the files' content.

    Raises:
        DataError: Anything at all is wrong with it, or a file is written to meanwhile; the first 50 faults are named,
            all are counted.
    """
    refuse_unknown(source.lines or source.columns, itertools.chain(*choices), shown=source.name)
    openers, formats, content, files = _opened(source, choices, name=name, base=base)
    if hold_pairs(choices):
        openers = [
            (shown, partial(parted, rows, shown, choices=choices, columns=source.columns)) for shown, rows in openers
        ]
    fields, late = _there(openers[0][1], choices, source.columns)
    key = digest_value(
        {
            "version": READING_VERSION,
            **content,
            "formats": formats,
            "columns": source.columns,
            "fields": [[field.name, field.kind, field.required] for field in fields],
            **({"late": [field.name for field in late]} if late else {}),  # a file that has them is refused
        }
    )
    own = [(f.name, ARROW[f.kind]) for f in fields]
    schema = pa.schema([*own, (NUMBERED, pa.bool_()), (LINE, pa.int64()), (FILE, pa.int32())])
    names = tuple(shown for shown, _ in openers)
    table = stored(
        cache / "data",
        key,
        schema,
        lambda: _batches(openers, formats, fields=fields, late=late, source=source, schema=schema, files=files),
    )
    table = table.drop_columns([f.name for f in fields if not f.required and not _any_words(table.column(f.name))])
    return Dataset(name, table, digest=key, origin=source.name, files=names)


def _opened(
    source: Source, choices: Sequence[Sequence[Field]], *, name: str, base: Path
) -> tuple[Openers, Sequence[str], dict[str, Any], list[FileState]]:
    """Of each file its name and what streams its rows; their formats; digests of what is in them; the files."""
    if source.lines:
        paths_by = one_each(source.files, base)
        several = {field: isinstance(names, list) for field, names in source.lines.items()}
        states = {field: [FileState.of(path) for path in paths] for field, paths in paths_by.items()}
        rows = side_by_side(paths_by, several=several, shown=source.name)
        digests = {field: [several[field], *(one.digest for one in each)] for field, each in states.items()}
        return [(source.name, rows)], ["lines"], {"lines": digests}, list(itertools.chain(*states.values()))
    if source.path.startswith(HUB):
        rows, digest = hub_rows(source.path.removeprefix(HUB), split=name)
        return [(source.path, rows)], ["hub"], {"files": [digest]}, []
    paths = paths_of(source.path, base)
    refuse(unrepeatable(paths))
    formats = formats_of(paths, source.format)
    files = [FileState.of(path) for path in paths]
    openers = openers_of(paths, formats, choices, source.columns)
    return openers, formats, {"files": [one.digest for one in files]}, files


def _there(
    rows: Callable[[], Raw], choices: Sequence[Sequence[Field]], columns: Mapping[str, str]
) -> tuple[list[Field], list[Field]]:
    """The fields that fit the first whole row, see `kept_fields`."""
    if len(choices) == 1 and all(field.required for field in choices[0]):
        return list(choices[0]), []
    first = next((raw[1] for raw in rows() if not isinstance(raw, Fault)), {})

    def unfit(some: Sequence[Field]) -> tuple[int, int]:
        names = {field.name for field in some}
        lacking = sum(f.required and not _may_be(first, columns.get(f.name, f.name), f.kind) for f in some)
        return len(columns.keys() - names), lacking

    fields = min(choices, key=unfit)
    return kept_fields(fields, [f.name for f in fields if f.name in columns or columns.get(f.name, f.name) in first])


def _any_words(column: pa.ChunkedArray) -> bool:
    """Whether a list of any row has something in it."""
    return bool(pc.sum(pc.list_value_length(column)).as_py())


def _may_be(row: Mapping[str, Any], column: str, kind: Kind) -> bool:
    """Whether a raw row has the column, and neither turns where a text is to stand nor the other way round."""
    value = row.get(column)
    odd = isinstance(value, list) if kind == "text" else isinstance(value, str) if kind == "turns" else False
    return column in row and not odd


def _batches(
    openers: Openers,
    formats: Sequence[str],
    *,
    fields: Sequence[Field],
    late: Sequence[Field],
    source: Source,
    schema: pa.Schema,
    files: Sequence[FileState],
) -> Iterator[pa.RecordBatch]:
    """Record batches of all files; raises at the end, with every fault, when there was any, or when ``files`` were
    written to meanwhile."""
    faults: list[Fault] = []
    count = total = 0
    absent = named_absent(fields, source.columns)
    for number, (shown, rows) in enumerate(openers):
        all_text = formats[number] in ("csv", "tsv", "lines")
        naming, odd = naming_of(rows() if all_text else (), fields, source.columns, shown)
        checker = RowChecker(fields, columns=source.columns, all_text=all_text, late=late, naming=naming)
        before = count + total
        count, faults = count + len(odd), [*faults, *odd]
        for values, wrong, lines in checked(without(absent, rows()), checker, shown):
            count += len(wrong)
            faults += wrong[: max(0, FAULTS_NAMED - len(faults))]
            total += len(values)
            if not count:
                columns = [
                    pa.array([row.get(f.name, None if f.required else []) for row in values], ARROW[f.kind])
                    for f in fields
                ]
                columns.append(pa.array([row.get(NUMBERED) for row in values], pa.bool_()))
                place = [pa.array(lines, pa.int64()), pa.array([number] * len(lines), pa.int32())]
                yield pa.RecordBatch.from_arrays(columns + place, schema=schema)
        if count + total == before:
            count += 1
            faults.append(Fault("data.empty", "no rows", "at least one", file=shown))
    require_unchanged(files)
    count += len(absent)
    faults += absent_columns(absent, shown=source.name)
    if count:
        raise error_of(faults[:FAULTS_NAMED], count)

"""`read`: a source becomes a checked, memory-mapped dataset, or one error with every fault in it."""

from __future__ import annotations

import difflib
import glob
import io
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from hone.core.errors import DataError, Fault
from hone.core.lineage import digest_file, digest_value
from hone.data.cache import stored
from hone.data.dataset import FILE, LINE, Dataset
from hone.data.encodings import detect
from hone.data.fields import Field
from hone.data.formats import TEXT_FORMATS, Raw, parquet
from hone.data.hub import hub_rows
from hone.data.source import SUFFIXES, Format, Source
from hone.data.values import ARROW, RowChecker

READING_VERSION = 1  # raised whenever reading changes what rows hold
ROWS_AT_ONCE = 4096
FAULTS_NAMED = 50
HUB = "hub:"


def read(source: Source, fields: Sequence[Field], *, name: str, base: Path, cache: Path) -> Dataset:
    """Read, check and store a source.

    Args:
        fields: What every row must have.
        name: The split's name.
        base: Folder that relative paths start from.
        cache: Folder that checked rows are kept in, keyed by the files' content.

    Raises:
        DataError: Anything at all is wrong with it; the first 50 faults are named, all are counted.
    """
    if source.path.startswith(HUB):
        rows, digest = hub_rows(source.path.removeprefix(HUB), split=name)
        openers: list[tuple[str, Callable[[], Raw]]] = [(source.path, rows)]
        digests: list[str] = [digest]
        formats: list[str] = ["hub"]
    else:
        paths = _paths(source, base)
        formats = [_format(path, source.format) for path in paths]
        openers = _openers(paths, formats, fields, source)
        digests = [digest_file(path) for path in paths]
    key = digest_value(
        {
            "version": READING_VERSION,
            "files": digests,
            "formats": formats,
            "columns": source.columns,
            "fields": [[field.name, field.kind, field.required] for field in fields],
        }
    )
    schema = pa.schema([*((f.name, ARROW[f.kind]) for f in fields), (LINE, pa.int64()), (FILE, pa.int32())])
    names = tuple(shown for shown, _ in openers)
    table = stored(
        cache / "data", key, schema, lambda: _batches(openers, formats, fields=fields, source=source, schema=schema)
    )
    return Dataset(name, table, digest=key, origin=source.path, files=names)


def read_stream(
    file: Path | IO[str], fields: Sequence[Field], *, format: Format = "auto", columns: dict[str, str] | None = None
) -> Iterator[dict[str, list[Any]]]:
    """Checked rows in batches of columns, in constant memory: what ``hone predict`` reads.

    Args:
        file: A path, or an open text stream (standard input: jsonl when its first line begins with ``{``, else one
            text a line).

    Raises:
        DataError: A batch holds faulty rows; those of that batch are all named.
    """
    if isinstance(file, Path):
        source = Source(path=str(file), columns=columns or {}, format=format)
        path = _paths(source, Path())[0]
        kind = _format(path, format)
        rows = _openers([path], [kind], fields, source)[0][1]()
        shown = str(file)
    else:
        first = file.readline()
        kind = format if format != "auto" else ("jsonl" if first.lstrip().startswith("{") else "text")
        rows, shown = TEXT_FORMATS[kind](_chained(first, file), "standard input"), "standard input"
    checker = RowChecker(fields, columns=columns or {}, words_in_text=kind in ("csv", "tsv"))
    for values, faults, _ in _checked(rows, checker, shown):
        if faults:
            raise _error(faults, len(faults))
        yield {field.name: [row[field.name] for row in values] for field in fields}


def _chained(first: str, rest: IO[str]) -> IO[str]:
    class Lines(io.StringIO):
        def __iter__(self) -> Iterator[str]:  # type: ignore[override]
            if first:
                yield first
            yield from rest

    return Lines()


def _batches(
    openers: list[tuple[str, Callable[[], Raw]]],
    formats: Sequence[str],
    *,
    fields: Sequence[Field],
    source: Source,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """Record batches of all files; raises at the end, with every fault, when there was any."""
    faults: list[Fault] = []
    count = total = 0
    for number, (shown, rows) in enumerate(openers):
        checker = RowChecker(fields, columns=source.columns, words_in_text=formats[number] in ("csv", "tsv"))
        before = count + total
        for values, wrong, lines in _checked(rows(), checker, shown):
            count += len(wrong)
            faults += wrong[: FAULTS_NAMED - len(faults)]
            total += len(values)
            if not count:
                columns = [pa.array([row.get(f.name) for row in values], ARROW[f.kind]) for f in fields]
                place = [pa.array(lines, pa.int64()), pa.array([number] * len(lines), pa.int32())]
                yield pa.RecordBatch.from_arrays(columns + place, schema=schema)
        if count + total == before:
            count += 1
            faults.append(Fault("data.empty", "no rows", "at least one", file=shown))
    if count:
        raise _error(faults, count)


def _checked(
    rows: Raw, checker: RowChecker, file: str
) -> Iterator[tuple[list[dict[str, Any]], list[Fault], list[int]]]:
    """Good rows, faults and lines of the good rows, a batch at a time; a column missing everywhere is said once."""
    values: list[dict[str, Any]] = []
    faults: list[Fault] = []
    lines: list[int] = []
    absent: set[str] = set()
    for raw in rows:
        if isinstance(raw, Fault):
            faults.append(raw)
        else:
            value, wrong = checker.check(raw[1], file=file, line=raw[0])
            wrong = [w for w in wrong if w.code != "data.column-missing" or w.field not in absent]
            absent |= {w.field for w in wrong if w.code == "data.column-missing"}
            faults += wrong
            if not wrong:
                values.append(value)
                lines.append(raw[0])
        if len(values) + len(faults) >= ROWS_AT_ONCE:
            yield values, faults, lines
            values, faults, lines = [], [], []
    if values or faults:
        yield values, faults, lines


def _error(faults: list[Fault], count: int) -> DataError:
    files = sorted({fault.file for fault in faults})
    more = f"\n  ... and {count - len(faults)} more" if count > len(faults) else ""
    what = f"{count} faults" if count > 1 else "a fault"
    error = DataError(f"the data cannot be used: {what} in {', '.join(files)}", faults=faults, code=faults[0].code)
    error.fix = more.lstrip("\n")
    return error


def _paths(source: Source, base: Path) -> list[Path]:
    """The files of a source.

    Raises:
        DataError: There is none, or it is a folder, or may not be read.
    """
    pattern = str(base / Path(source.path).expanduser())
    found = sorted(Path(match) for match in glob.glob(pattern)) if any(c in source.path for c in "*?[") else []
    if not found and not Path(pattern).exists():
        path = Path(pattern)
        there = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, there, n=3)
        fix = f"Did you mean {', '.join(near)}?" if near else "Relative paths start at the recipe's folder."
        raise _error([Fault("data.missing", "no such file", "a data file", file=source.path, fix=fix)], 1)
    paths = found or [Path(pattern)]
    for path in paths:
        fault = None
        if path.is_dir():
            fault = Fault("data.folder", "a folder", "a file", file=str(path), fix="Name its files: FOLDER/*.jsonl")
        elif not os.access(path, os.R_OK):
            fault = Fault("data.unreadable", "a file that may not be read", "read permission", file=str(path))
        elif path.stat().st_size == 0:
            fault = Fault("data.empty", "an empty file", "at least one row", file=str(path))
        if fault is not None:
            raise _error([fault], 1)
    return paths


def _format(path: Path, stated: Format) -> Format:
    if stated != "auto":
        return stated
    known = SUFFIXES.get(path.suffix.lower())
    if known is None:
        raise _error(
            [
                Fault(
                    "data.format",
                    f"the suffix {path.suffix!r}",
                    f"one of {', '.join(sorted(SUFFIXES))}",
                    file=str(path),
                    fix="Rename the file, or state its format: {path: ..., format: jsonl}",
                )
            ],
            1,
        )
    return known


def _openers(
    paths: Sequence[Path], formats: Sequence[str], fields: Sequence[Field], source: Source
) -> list[tuple[str, Callable[[], Raw]]]:
    """For each file its name and a function that streams its raw rows.

    Raises:
        DataError: A file is binary or in no one encoding.
    """
    openers: list[tuple[str, Callable[[], Raw]]] = []
    faults: list[Fault] = []
    wanted = [source.columns.get(field.name, field.name) for field in fields if field.required]
    for path, kind in zip(paths, formats, strict=True):
        shown = str(path)
        if kind == "parquet":
            openers.append((shown, partial(parquet, path, shown, wanted)))
            continue
        codec, wrong = detect(path, shown=shown)
        faults += wrong
        openers.append((shown, partial(_text_rows, path, kind, codec=codec, shown=shown)))
    if faults:
        raise _error(faults, len(faults))
    return openers


def _text_rows(path: Path, kind: str, *, codec: str, shown: str) -> Raw:
    newline = "" if kind in ("csv", "tsv") else "\n"  # other line ends inside a text stay where they are
    with path.open(encoding=codec, newline=newline) as lines:
        yield from TEXT_FORMATS[kind](lines, shown)

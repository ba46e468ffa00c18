"""`read`: a source becomes a checked, memory-mapped dataset, or one error with every fault in it."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from hone.core.errors import FAULTS_NAMED, DataError, Fault, did_you_mean
from hone.core.lineage import digest_file, digest_value
from hone.data.cache import stored
from hone.data.dataset import FILE, LINE, Dataset
from hone.data.encodings import detect
from hone.data.fields import Field, Kind
from hone.data.formats import TEXT_FORMATS, Raw, RawRow, parquet
from hone.data.hub import hub_rows
from hone.data.lines import side_by_side
from hone.data.pairs import ANSWERS, hold_pairs, parted
from hone.data.paths import error_of, is_pipe, one_each, paths_of, refuse, unrepeatable
from hone.data.source import HUB, SUFFIXES, Format, Source
from hone.data.values import ARROW, NUMBERED, RowChecker

READING_VERSION = 4  # raised whenever reading changes what rows hold
ROWS_AT_ONCE = 4096
CHARACTERS_AT_ONCE = 1 << 24  # of the texts of a batch: what bounds memory where they are megabytes long
STDIN = "standard input"
ARRAY = re.compile(r"""\s*\[\s*($|[{"])""")  # how a JSON array of objects or strings begins


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
        DataError: Anything at all is wrong with it; the first 50 faults are named, all are counted.
    """
    _refuse_unknown(source.lines or source.columns, itertools.chain(*choices), shown=source.name)
    openers, formats, content = _opened(source, choices, name=name, base=base)
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
        }
    )
    own = [(f.name, ARROW[f.kind]) for f in fields]
    schema = pa.schema([*own, (NUMBERED, pa.bool_()), (LINE, pa.int64()), (FILE, pa.int32())])
    names = tuple(shown for shown, _ in openers)
    table = stored(
        cache / "data",
        key,
        schema,
        lambda: _batches(openers, formats, fields=fields, late=late, source=source, schema=schema),
    )
    table = table.drop_columns([f.name for f in fields if not f.required and not _any_words(table.column(f.name))])
    return Dataset(name, table, digest=key, origin=source.name, files=names)


Openers = list[tuple[str, Callable[[], Raw]]]


def _opened(
    source: Source, choices: Sequence[Sequence[Field]], *, name: str, base: Path
) -> tuple[Openers, Sequence[str], dict[str, Any]]:
    """Of each file its name and what streams its rows; their formats; and digests of what is in them."""
    if source.lines:
        files = one_each(source.files, base)
        several = {field: isinstance(names, list) for field, names in source.lines.items()}
        rows = side_by_side(files, several=several, shown=source.name)
        digests = {field: [several[field], *map(digest_file, paths)] for field, paths in files.items()}
        return [(source.name, rows)], ["lines"], {"lines": digests}
    if source.path.startswith(HUB):
        rows, digest = hub_rows(source.path.removeprefix(HUB), split=name)
        return [(source.path, rows)], ["hub"], {"files": [digest]}
    paths = paths_of(source.path, base)
    refuse(unrepeatable(paths))
    formats = _formats(paths, source.format)
    openers = _openers(paths, formats, choices, source.columns)
    return openers, formats, {"files": [digest_file(path) for path in paths]}


def _there(
    rows: Callable[[], Raw], choices: Sequence[Sequence[Field]], columns: Mapping[str, str]
) -> tuple[list[Field], list[Field]]:
    """The fields that fit the first whole row, see `_kept`."""
    if len(choices) == 1 and all(field.required for field in choices[0]):
        return list(choices[0]), []
    first = next((raw[1] for raw in rows() if not isinstance(raw, Fault)), {})

    def unfit(some: Sequence[Field]) -> tuple[int, int]:
        names = {field.name for field in some}
        lacking = sum(f.required and not _may_be(first, columns.get(f.name, f.name), f.kind) for f in some)
        return len(columns.keys() - names), lacking

    fields = min(choices, key=unfit)
    return _kept(fields, [f.name for f in fields if f.name in columns or columns.get(f.name, f.name) in first])


def _kept(fields: Sequence[Field], there: Container[str]) -> tuple[list[Field], list[Field]]:
    """The fields of a set, of which the first row has those named ``there``: what is read of each row, and what no row
    may have for the first one has it not. Words a row may have or not; everything else every row must have."""
    read = [f for f in fields if f.required or f.kind == "words" or f.name in there]
    return [replace(f, required=f.required or f.kind != "words") for f in read], [f for f in fields if f not in read]


def _any_words(column: pa.ChunkedArray) -> bool:
    """Whether a list of any row has something in it."""
    return bool(pc.sum(pc.list_value_length(column)).as_py())


def _may_be(row: Mapping[str, Any], column: str, kind: Kind) -> bool:
    """Whether a raw row has the column, and neither turns where a text is to stand nor the other way round."""
    value = row.get(column)
    odd = isinstance(value, list) if kind == "text" else isinstance(value, str) if kind == "turns" else False
    return column in row and not odd


def read_stream(
    file: Path | IO[str],
    *choices: Sequence[Field],
    format: Format = "auto",
    columns: Mapping[str, str] | None = None,
    placed: Callable[[str, Sequence[int]], None] | None = None,
) -> Iterator[dict[str, list[Any]]]:
    """Checked rows in batches of columns, in constant memory: what ``hone predict`` reads.

    Args:
        file: A path or a glob, or an open text stream. A stream or a pipe is jsonl when its first line begins with
            ``{``, else one text a line.
        choices: Sets of fields. Each file is read for the first set whose columns its first row has, else the last.
        columns: Field name -> column name, where they differ.
        placed: Told of each batch, before it is given, its file and the lines of its rows.

    Raises:
        DataError: A batch holds faulty rows; those of that batch are all named.
    """
    columns = dict(columns or {})
    shown = str(file) if isinstance(file, Path) else STDIN
    _refuse_unknown(columns, itertools.chain(*choices), shown=shown)
    with contextlib.ExitStack() as stack:
        if isinstance(file, Path) and not is_pipe(file):
            source = Source(path=str(file), format=format)
            paths = paths_of(source.path, Path())
            formats: Sequence[str] = _formats(paths, format)
            openers = _openers(paths, formats, choices, columns)
        else:
            suffix = SUFFIXES.get(file.suffix.lower(), "") if isinstance(file, Path) else ""
            stated = format if format != "auto" else suffix
            stream = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
            kind, rows = _stream_rows(stream, stated, shown=shown)
            formats, openers = [kind], [(shown, lambda: rows)]
        for kind, (name, opened) in zip(formats, openers, strict=True):
            fields, late, raw = _chosen(_named(kind, opened(), _bare(choices, columns)), choices, columns)
            checker = RowChecker(fields, columns=columns, all_text=kind in ("csv", "tsv"), late=late)
            for values, faults, lines in _checked(raw, checker, name):
                refuse(faults)
                if placed is not None:
                    placed(name, lines)
                there = [f.name for f in fields if f.required or any(row.get(f.name) for row in values)]
                yield {name: [row.get(name, []) for row in values] for name in there}


def _bare(choices: Sequence[Sequence[Field]], columns: Mapping[str, str]) -> str:
    """The column that a line of plain text is: that of the one text of the first of ``choices`` that has one alone."""
    for fields in choices:
        needed = [field for field in fields if field.required]
        if len(needed) == 1 and needed[0].kind == "text":
            return columns.get(needed[0].name, needed[0].name)
    return "text"


def _stream_rows(stream: IO[Any], stated: str, *, shown: str) -> tuple[str, Raw]:
    """The format of a stream and its raw rows; the first line tells where none is stated."""
    lines = decoded_lines(stream, shown)
    begin = list(itertools.islice(lines, 1))
    if begin:
        begin[0] = begin[0].removeprefix("\ufeff")
    if begin and stated not in TEXT_FORMATS and ARRAY.match(begin[0]):
        raise DataError(
            f"{shown} begins a JSON array",
            expected="one JSON object a line, or one text a line",
            fix="Write each element on a line of its own: jq -c '.[]'.",
            code="data.json-array",
        )
    objects = bool(begin) and begin[0].lstrip().startswith("{")
    kind = stated if stated in TEXT_FORMATS else ("jsonl" if objects else "text")
    return kind, TEXT_FORMATS[kind](itertools.chain(begin, lines), shown)


def _named(kind: str, rows: Raw, column: str) -> Raw:
    """Raw rows, those of plain text with their column's name."""
    for row in rows:
        yield row if kind != "text" or isinstance(row, Fault) else (row[0], {column: row[1]["text"]})


def _chosen(
    rows: Raw, choices: Sequence[Sequence[Field]], columns: Mapping[str, str]
) -> tuple[Sequence[Field], Sequence[Field], Iterator[RawRow | Fault]]:
    """The first of ``choices`` whose columns the first whole row has, else the last, as of `_kept`; and the rows, that
    one too."""
    if len(choices) == 1 and all(field.required for field in choices[0]):
        return choices[0], [], rows
    seen: list[RawRow | Fault] = []
    there: set[str] = set()
    for raw in itertools.islice(rows, ROWS_AT_ONCE):
        seen.append(raw)
        if not isinstance(raw, Fault):
            there = set(raw[1])
            break
    fit = (fields for fields in choices if {columns.get(f.name, f.name) for f in fields if f.required} <= there)
    chosen = next(fit, choices[-1])
    read, late = _kept(chosen, [f.name for f in chosen if columns.get(f.name, f.name) in there])
    return read, late, itertools.chain(seen, rows)


def decoded_lines(stream: IO[Any], shown: str) -> Iterator[str]:
    """The lines of a stream; of one over bytes as UTF-8, so that a line in another encoding is told exactly.

    Raises:
        DataError: A line is not UTF-8.
    """
    for number, line in enumerate(getattr(stream, "buffer", stream), start=1):
        try:
            yield line if isinstance(line, str) else line.decode("utf-8")
        except UnicodeDecodeError as error:
            fault = Fault("data.encoding", f"bytes that are not UTF-8 ({error.reason})", "UTF-8", file=shown,
                          line=number, fix="Convert it to UTF-8.")  # fmt: skip
            raise error_of([fault], 1) from error


def _batches(
    openers: Openers,
    formats: Sequence[str],
    *,
    fields: Sequence[Field],
    late: Sequence[Field],
    source: Source,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """Record batches of all files; raises at the end, with every fault, when there was any."""
    faults: list[Fault] = []
    count = total = 0
    absent = {source.columns[f.name] for f in fields if not f.required and f.name in source.columns}
    for number, (shown, rows) in enumerate(openers):
        all_text = formats[number] in ("csv", "tsv", "lines")
        checker = RowChecker(fields, columns=source.columns, all_text=all_text, late=late)
        before = count + total
        for values, wrong, lines in _checked(_without(absent, rows()), checker, shown):
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
    count += len(absent)
    faults += [Fault("data.column-missing", "no such column in any row", "one, as columns says", file=source.name,
                     field=column) for column in sorted(absent)]  # fmt: skip
    if count:
        raise error_of(faults[:FAULTS_NAMED], count)


def _without(absent: set[str], rows: Raw) -> Raw:
    """The rows; columns that they have are no longer ``absent``."""
    for raw in rows:
        if not isinstance(raw, Fault):
            absent.difference_update(raw[1])
        yield raw


def _checked(
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


def _refuse_unknown(columns: Iterable[str], fields: Iterable[Field], *, shown: str) -> None:
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


def _formats(paths: Sequence[Path], stated: Format) -> list[Format]:
    """The format of each file.

    Raises:
        DataError: A suffix says none.
    """
    formats = [SUFFIXES.get(path.suffix.lower()) if stated == "auto" else stated for path in paths]
    refuse(
        [
            Fault(
                "data.format",
                f"the suffix {path.suffix!r}",
                f"one of {', '.join(sorted(SUFFIXES))}",
                file=str(path),
                fix="Rename the file, or state its format: {path: ..., format: jsonl}",
            )
            for path, known in zip(paths, formats, strict=True)
            if known is None
        ]
    )
    return [known for known in formats if known is not None]


def _openers(
    paths: Sequence[Path], formats: Sequence[str], choices: Sequence[Sequence[Field]], columns: Mapping[str, str]
) -> Openers:
    """For each file its name and a function that streams its raw rows.

    Raises:
        DataError: A file is binary or in no one encoding.
    """
    openers: Openers = []
    faults: list[Fault] = []
    every = itertools.chain(*choices)
    optional = sorted({columns.get(field.name, field.name) for field in every if not field.required})
    wanted = [[columns.get(field.name, field.name) for field in fields if field.required] for fields in choices]
    if hold_pairs(choices):  # whole conversations, which need no prompt beside them
        wanted.append([columns.get(name, name) for name in ANSWERS])
    for path, kind in zip(paths, formats, strict=True):
        shown = str(path)
        if kind == "parquet":
            openers.append((shown, partial(parquet, path, shown, *wanted, optional=optional)))
            continue
        codec, wrong = detect(path, shown=shown)
        faults += wrong
        openers.append((shown, partial(_text_rows, path, kind, codec=codec, shown=shown)))
    refuse(faults)
    return openers


def _text_rows(path: Path, kind: str, *, codec: str, shown: str) -> Raw:
    newline = "" if kind in ("csv", "tsv") else "\n"  # other line ends inside a text stay where they are
    with path.open(encoding=codec, newline=newline) as lines:
        yield from TEXT_FORMATS[kind](lines, shown)

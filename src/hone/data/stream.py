"""`read_stream`: checked rows of files of any size, or of standard input, a batch at a time."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hone.core.errors import DataError, Fault
from hone.data.checked import ROWS_AT_ONCE, absent_columns, checked, kept_fields, named_absent, refuse_unknown, without
from hone.data.fields import Field
from hone.data.formats import TEXT_FORMATS, Raw, RawRow
from hone.data.openers import formats_of, openers_of
from hone.data.paths import error_of, is_pipe, paths_of, refuse
from hone.data.source import SUFFIXES, Format, Source
from hone.data.values import RowChecker

STDIN = "standard input"
ARRAY = re.compile(r"""\s*\[\s*($|[{"])""")  # how a JSON array of objects or strings begins


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
        DataError: A batch holds faulty rows; those of that batch are all named. Or, after the last batch of all, no row
            had a column that ``columns`` names for what rows may lack.
    """
    columns = dict(columns or {})
    shown = str(file) if isinstance(file, Path) else STDIN
    refuse_unknown(columns, itertools.chain(*choices), shown=shown)
    with contextlib.ExitStack() as stack:
        if isinstance(file, Path) and not is_pipe(file):
            source = Source(path=str(file), format=format)
            paths = paths_of(source.path, Path())
            formats: Sequence[str] = formats_of(paths, format)
            openers = openers_of(paths, formats, choices, columns)
        else:
            suffix = SUFFIXES.get(file.suffix.lower(), "") if isinstance(file, Path) else ""
            stated = format if format != "auto" else suffix
            stream = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
            kind, rows = _stream_rows(stream, stated, shown=shown)
            formats, openers = [kind], [(shown, lambda: rows)]
        absent, some = named_absent(itertools.chain(*choices), columns), False
        for kind, (name, opened) in zip(formats, openers, strict=True):
            fields, late, raw = _chosen(_named(kind, opened(), _bare(choices, columns)), choices, columns)
            checker = RowChecker(fields, columns=columns, all_text=kind in ("csv", "tsv"), late=late)
            for values, faults, lines in checked(without(absent, raw), checker, name):
                refuse(faults)
                some = True
                if placed is not None:
                    placed(name, lines)
                there = [f.name for f in fields if f.required or any(row.get(f.name) for row in values)]
                yield {field: [row.get(field, []) for row in values] for field in there}
        refuse(absent_columns(absent if some else (), shown=shown))


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
    """The first of ``choices`` whose columns the first whole row has, else the last, as of `kept_fields`; and the rows,
    that one too."""
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
    read, late = kept_fields(
        chosen, [f.name for f in chosen if f.name in columns or columns.get(f.name, f.name) in there]
    )
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

"""Raw rows of each file format, streamed, each with its line; what cannot be parsed comes as a fault."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hone.core.errors import Fault, did_you_mean
from hone.data.described import described

RawRow = tuple[int, dict[str, Any]]
Raw = Iterator[RawRow | Fault]
MAX_FIELD_CHARACTERS = 1 << 30
PARQUET_ROWS, PARQUET_BYTES = 256, 1 << 20  # read at once: of long texts, and of large row groups, what fits memory
_ARRAY = re.compile(r"\s*\[\s*(\{|$)")  # how a file begins that is one array of objects


def jsonl(lines: Iterable[str], file: str) -> Raw:
    """One JSON object a line; blank lines are passed over."""
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if first and _ARRAY.match(line):
            yield Fault("data.json-array", "one JSON array", "JSON lines: one object a line, no brackets around them",
                        file=file, line=number, fix="Convert it, for instance with: jq -c '.[]'")  # fmt: skip
            return
        first = False
        try:
            value = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            column = min(error.pos, len(line.rstrip())) + 1  # what breaks off does so at its end, before the line's
            yield Fault("data.broken-json", f"broken JSON at column {column}: {error.msg}", "a JSON object",
                        file=file, line=number)  # fmt: skip
        except _DuplicateKey as error:
            yield Fault("data.duplicate-column", f"the key {error.key!r} twice", "each key once", file=file,
                        line=number, field=error.key)  # fmt: skip
        except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets one in the other
            yield Fault("data.broken-json", f"JSON that cannot be read: {error}", "a JSON object", file=file,
                        line=number)  # fmt: skip
        else:
            if isinstance(value, dict):
                yield number, value
            else:
                yield Fault("data.not-an-object", described(value), "a JSON object", file=file,
                            line=number)  # fmt: skip


class _DuplicateKey(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        raise _DuplicateKey(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return value


def delimited(delimiter: str) -> Callable[[Iterable[str], str], Raw]:
    """Reader of csv (``,``) or tsv; the first row names the columns, a quoted cell may span lines."""

    def read(lines: Iterable[str], file: str) -> Raw:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        begin = 1
        header: list[str] = []
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Fault("data.broken-csv", f"broken quoting: {error}", "RFC 4180 quoting", file=file, line=begin)
                return
            line, begin = begin, rows.line_num + 1
            if not header:
                header = [cell.strip() for cell in cells]
                twice = sorted({name for name in header if header.count(name) > 1})
                if twice:
                    for name in twice:
                        yield Fault("data.duplicate-column", f"the column {name!r} {header.count(name)} times",
                                    "each column once", file=file, line=line, field=name)  # fmt: skip
                    return
            elif len(cells) == len(header):
                yield line, {name: cell if cell else None for name, cell in zip(header, cells, strict=True)}
            elif cells:
                yield Fault("data.ragged-row", f"{len(cells)} cells", f"{len(header)}, as the header has", file=file,
                            line=line, fix="Quote cells that hold the delimiter.")  # fmt: skip

    return read


def conll(lines: Iterable[str], file: str) -> Raw:
    """Columns parted by white space: token first, tag last; a blank line ends a sentence. One column: no tags."""
    tokens: list[str] = []
    tags: list[str] = []
    begin, width = 1, 0

    def sentence(tokens: list[str], tags: list[str]) -> dict[str, list[str]]:
        return {"tokens": tokens, "tags": tags} if width > 1 else {"tokens": tokens}

    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells or cells[0] == "-DOCSTART-":
            if tokens:
                yield begin, sentence(tokens, tags)
            tokens, tags = [], []
            continue
        if not tokens and cells[0] == "#" and "=" in line:  # a comment of CoNLL-U and its kin
            continue
        width = width or len(cells)
        if len(cells) != width:
            yield Fault("data.ragged-row", f"{len(cells)} columns", f"{width}, as the first line has (token first, "
                        "tag last)", file=file, line=number)  # fmt: skip
            continue
        if not tokens:
            begin = number
        tokens.append(cells[0])
        tags.append(cells[-1])
    if tokens:
        yield begin, sentence(tokens, tags)


def plain(lines: Iterable[str], file: str) -> Raw:
    """One text a line; a blank line is a blank text, so that answers line up with lines."""
    for number, line in enumerate(lines, start=1):
        yield number, {"text": line.rstrip("\r\n")}


def parquet(path: Path, file: str, *choices: list[str], optional: Sequence[str] = ()) -> Raw:
    """Rows of a parquet file; the line is the row's number.

    Args:
        choices: Sets of columns. The first that is wholly there is read; of the last one the missing ones are told.
        optional: Columns that are read too, those that are there.
    """
    try:
        source = pq.ParquetFile(path, buffer_size=PARQUET_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        yield Fault("data.binary", f"no readable parquet file ({str(error).splitlines()[0]})", "parquet", file=file)
        return
    there = source.schema_arrow.names
    twice = sorted({name for name in there if there.count(name) > 1})
    if twice:
        yield Fault("data.duplicate-column", f"the column {twice[0]!r} twice", "each column once", file=file,
                    field=twice[0])  # fmt: skip
        return
    wanted = next((names for names in choices if set(names) <= set(there)), choices[-1])
    wanted = [*wanted, *(name for name in optional if name in there)]
    missing = [name for name in wanted if name not in there]
    if missing:
        for name in missing:
            yield Fault("data.column-missing", f"the columns {', '.join(there)}", f"a column {name!r}", file=file,
                        field=name, fix=did_you_mean(name, there))  # fmt: skip
        return
    number = 0
    try:
        for batch in source.iter_batches(batch_size=PARQUET_ROWS, columns=wanted):
            for row in _rows(batch, file, before=number):
                number += 1
                yield row
    except (pa.ArrowException, OSError) as error:
        yield Fault("data.binary", f"a damaged parquet file ({str(error).splitlines()[0]})", "parquet", file=file,
                    line=number + 1)  # fmt: skip


def _rows(batch: pa.RecordBatch, file: str, *, before: int) -> Raw:
    """The rows of a batch that has so many ``before`` it; a text of one that is no UTF-8, which nobody checked when the
    file was written, is that row's fault alone."""
    try:
        whole = batch.to_pylist()
    except UnicodeDecodeError:
        yield from (_row(batch, at, file, line=before + at + 1) for at in range(len(batch)))
    else:
        yield from enumerate(whole, start=before + 1)


def _row(batch: pa.RecordBatch, at: int, file: str, *, line: int) -> RawRow | Fault:
    values: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[at].as_py()
        except UnicodeDecodeError as error:
            found = f"the byte 0x{error.object[error.start]:02x} in a text, which is not utf-8"
            return Fault("data.encoding", found, "utf-8", file=file, line=line, field=name)
    return line, values


TEXT_FORMATS: dict[str, Callable[[Iterable[str], str], Raw]] = {
    "jsonl": jsonl,
    "csv": delimited(","),
    "tsv": delimited("\t"),
    "conll": conll,
    "text": plain,
}

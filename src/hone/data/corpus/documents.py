"""`documents`: the documents of one file, in bounded memory; what cannot be read comes as a fault."""

from __future__ import annotations

import bisect
import codecs
import gzip
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from hone.core.errors import Fault, did_you_mean
from hone.data.corpus.settings import CorpusFormat, CorpusSource
from hone.data.described import described
from hone.data.encodings import MAGIC, Share
from hone.data.formats import Raw, jsonl, parquet
from hone.data.source import SUFFIXES

PARAGRAPHS = "\n\n"  # between rows that are joined
BLANK, LINE = re.compile(r"\n[^\S\n]*\n\s*"), re.compile(r"\n")  # ends of paragraphs within a row
GZIP = ".gz"
LONE = re.compile("[\ud800-\udfff]")  # JSON can write what no encoding can
HEAD_BYTES = 8192  # that a NUL byte among tells a binary file by


@dataclass(frozen=True)
class Document:
    """A text of its own.

    Attributes:
        text: Not blank.
        name: What its file calls it; empty where it has no name.
        file: Where it stands, as the user named it.
        line: 1-based line that it begins on, or its row's number in a parquet file.
        source: Name of its source.
        divided: Which part of a document that was divided for its length, from 0.
        pair: The same in other words; empty where there is none.
        kind: What it is sampled by; empty where that says nothing.
    """

    text: str
    name: str
    file: str
    line: int
    source: str = ""
    divided: int = 0
    pair: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Limits:
    """Most bytes of a line, and most characters of a document."""

    line_bytes: int
    characters: int


class Paragraph(NamedTuple):
    """What stands on a line, or a part of that: the name of its document, its text, whether a new document begins or
    the next part of the one before, and what else is said of it."""

    line: int
    name: str
    text: str
    begins: bool
    pair: str = ""
    kind: str = ""
    divides: bool = False


def documents(path: Path, reading: CorpusSource, limits: Limits) -> Iterator[Document | Fault]:
    """The documents of a file, blank ones left out. What stands before a line that is a fault and what stands after it
    are documents of their own.

    Raises:
        OSError: The file is not there any more, say.
    """
    shown = str(path)
    kind = format_of(path, reading.format)
    if kind == "parquet":
        rows = parquet(path, shown, reading.columns)
        yield from _joined(_rows(rows, reading, shown, limits), PARAGRAPHS, shown, limits)
        return
    if kind == "text" and (reading.pair is not None or reading.sampling is not None):
        named = reading.pair if reading.sampling is None else reading.sampling.by
        yield Fault("data.no-columns", f"a text file, and the column {named!r}", "JSON lines or parquet", file=shown,
                    fix="A text file holds texts alone: leave pair and sampling out.")  # fmt: skip
        return
    with path.open("rb") as raw:
        wrong = _binary(raw.read(HEAD_BYTES), gzipped=packed(path))
        if wrong:
            yield Fault("data.binary", wrong, f"text in {reading.encoding}", file=shown)
            return
        raw.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed(path) else raw  # type: ignore[assignment]
        lines = _lines(stream, shown, encoding=reading.encoding, most=limits.line_bytes)
        if kind == "jsonl":
            yield from _joined(_rows(_objects(lines, shown), reading, shown, limits), PARAGRAPHS, shown, limits)
        else:
            yield from _joined(_paragraphs(lines, reading.parted), "\n", shown, limits)


def format_of(path: Path, stated: CorpusFormat) -> Literal["jsonl", "parquet", "text"] | None:
    """The format of a file; None where its suffix says none that a corpus can be in."""
    if stated != "auto":
        return stated
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-2:-1] if suffixes[-1:] == [GZIP] else suffixes[-1:]
    kind = SUFFIXES.get(last[0]) if last else None
    return kind if kind in ("jsonl", "parquet", "text") else None


def packed(path: Path) -> bool:
    """Whether a file's name says that it is a gzip archive."""
    return path.suffix.lower() == GZIP


def binary(path: Path) -> str:
    """What a file is that is no text; empty where it may be one."""
    with path.open("rb") as raw:
        wrong = _binary(raw.read(HEAD_BYTES), gzipped=packed(path))
    if wrong or not packed(path):
        return wrong
    try:
        with gzip.open(path) as inside:
            return _binary(inside.read(HEAD_BYTES), gzipped=False)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"a damaged gzip archive ({error})"


def _binary(head: bytes, *, gzipped: bool) -> str:
    """What a file is that begins so, where it is no text; empty where it may be."""
    for magic, what in MAGIC.items():
        if head.startswith(magic) and not (gzipped and "gzip" in what):
            return what
    if gzipped:
        return "" if head.startswith(b"\x1f\x8b") else "no gzip archive, whatever its suffix says"
    return "a NUL byte: a binary file" if b"\0" in head else ""


def _lines(stream: IO[bytes], shown: str, *, encoding: str, most: int) -> Iterator[str | Fault]:
    """The lines of a file without their ends, none of them ever whole in memory that is longer than ``most`` bytes."""
    offset, number = 0, 0
    try:
        while line := stream.readline(most + 1):
            number += 1
            begin, offset = offset, offset + len(line)
            if len(line) > most and not line.endswith(b"\n"):
                while (rest := stream.readline(most)) and not rest.endswith(b"\n"):
                    offset += len(rest)
                offset += len(rest)
                yield Fault("data.long-line", f"a line of {offset - begin:,} bytes", f"at most {most:,}", file=shown,
                            line=number, fix="Divide it, or allow more: max_line_bytes.")  # fmt: skip
            else:
                yield _decoded(line, shown, number, offset=begin, encoding=encoding)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Fault(
            "data.binary", f"a damaged gzip archive ({error})", "one that is whole", file=shown, line=number + 1
        )


def _decoded(line: bytes, shown: str, number: int, *, offset: int, encoding: str) -> str | Fault:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    if b"\0" in line:
        return Fault("data.binary", "a NUL byte", f"text in {encoding}", file=shown, line=number)
    try:
        return line.decode(encoding).rstrip("\r\n")
    except UnicodeDecodeError as error:
        at = offset + error.start
        found = f"the byte 0x{line[error.start]:02x} at byte offset {at:,}, which is not {encoding}"
        return Fault("data.encoding", found, encoding, file=shown, line=number,
                     fix=f"{_other_encoding(line, encoding)}, or leave such lines out: unreadable: skip.")  # fmt: skip


def _other_encoding(line: bytes, encoding: str) -> str:
    """What to do about a line that ``encoding`` does not read, which may be everyday Chinese in GB18030."""
    share = Share()
    share.add(line)
    if encoding == "utf-8" and share.plausible:
        return "It reads as Chinese in GB18030: state encoding: gb18030. Or convert the file to UTF-8"
    return "Convert the file to UTF-8"


def _objects(lines: Iterator[str | Fault], shown: str) -> Raw:
    """The rows of JSON lines; a line that is a fault stays one."""
    faults: list[Fault] = []

    def fine() -> Iterator[str]:
        for line in lines:
            if isinstance(line, Fault):
                faults.append(line)
            yield "" if isinstance(line, Fault) else line  # a blank line is passed over, and counts

    for row in jsonl(fine(), shown):
        yield from faults
        faults.clear()
        yield row
    yield from faults


def _rows(rows: Raw, reading: CorpusSource, shown: str, limits: Limits) -> Iterator[Paragraph | Fault]:
    """Paragraphs of rows with columns."""
    last: str | None = None
    absent: set[str] = set()  # columns that were missed, each told once: a file without one has as many faults as rows
    for row in rows:
        if isinstance(row, Fault):
            yield row
            continue
        number, values = row
        nothing = {name: "" for name in reading.columns[1:] if name != reading.document and values.get(name, 0) is None}
        values = {**values, **nothing}
        missing = (fault for name in reading.columns for fault in _missing(name, values, shown, number))
        bad = (fault for name in reading.columns for fault in _bad(name, values[name], shown, number, limits=limits))
        wrong = next(itertools.chain(missing, bad), None)
        if wrong is not None:
            if wrong.code != "data.column-missing" or wrong.field not in absent:
                yield wrong
            absent |= {wrong.field} if wrong.code == "data.column-missing" else set()
            continue
        name = str(values[reading.document]) if reading.document else ""
        pair = values[reading.pair].strip() if reading.pair else ""
        kind = values[reading.sampling.by] if reading.sampling else ""
        whole = Paragraph(number, name, values[reading.text], not name or name != last, pair, kind)
        yield from [whole] if pair else _parts(whole, limits.characters)  # a pair is of a whole text
        last = name


def _parts(row: Paragraph, most: int) -> Iterator[Paragraph]:
    """A row, in parts where its text is longer than ``most`` characters: each ends at the last blank line in the
    second half of what fits, or else with the last line that fits; a line is never divided."""
    text = row.text
    if len(text) <= most:
        yield row
        return
    blanks, lines = ([found.end() for found in kind.finditer(text)] for kind in (BLANK, LINE))
    lines.append(len(text))
    begin = 0
    while begin < len(text):
        end = _last(blanks, begin + most // 2, begin + most) or _last(lines, begin, begin + most)
        end = end or lines[bisect.bisect_right(lines, begin + most)]
        end = len(text) if len(text) - begin <= most else end
        yield row._replace(text=text[begin:end], begins=row.begins and not begin, divides=begin > 0)
        begin = end


def _last(places: list[int], after: int, most: int) -> int:
    """The last of ``places``, which ascend, that is above ``after`` and at most ``most``; 0 where there is none."""
    at = bisect.bisect_right(places, most)
    return places[at - 1] if at and places[at - 1] > after else 0


def _bad(name: str, text: str, shown: str, line: int, *, limits: Limits) -> Iterator[Fault]:
    """What is wrong with a text that stands in a column."""
    if LONE.search(text):
        yield Fault("data.encoding", "half of a surrogate pair", "characters", file=shown, line=line, field=name)
    elif len(text) > limits.line_bytes:
        yield Fault("data.long-line", f"a text of {len(text):,} characters", f"at most {limits.line_bytes:,}",
                    file=shown, line=line, field=name, fix="Divide it, or allow more: max_line_bytes.")  # fmt: skip


def _missing(name: str, values: dict[str, Any], shown: str, line: int) -> Iterator[Fault]:
    if name not in values:
        yield Fault("data.column-missing", f"the columns {', '.join(values)}", f"a column {name!r}", file=shown,
                    line=line, field=name, fix=did_you_mean(name, values))  # fmt: skip
    elif not isinstance(values[name], str):
        yield Fault("data.wrong-type", described(values[name]), "a text", file=shown, line=line, field=name)


def _paragraphs(lines: Iterator[str | Fault], parted: str) -> Iterator[Paragraph | Fault]:
    """Lines of a text file; one that is blank parts documents, or belongs to the one document there is."""
    begins = True
    for number, line in enumerate(lines, start=1):
        if isinstance(line, Fault):
            yield line
        elif parted == "file" or line.strip():
            yield Paragraph(number, "", line, begins)
            begins = parted == "lines"
        else:
            begins = True


def _joined(
    paragraphs: Iterable[Paragraph | Fault], between: str, shown: str, limits: Limits
) -> Iterator[Document | Fault]:
    """Documents of the paragraphs that follow one another."""
    texts: list[str] = []
    head, size, divided = Paragraph(1, "", "", True), 0, 0

    def whole() -> Iterator[Document]:
        text = between.join(texts).strip()
        texts.clear()
        if text:
            yield Document(text, head.name, shown, head.line, divided=divided, pair=head.pair, kind=head.kind)

    for one in paragraphs:
        if isinstance(one, Fault):
            yield from whole()
            yield one
            continue
        if one.begins or one.divides or (texts and size + len(one.text) > limits.characters):
            yield from whole()
            divided = 0 if one.begins else divided + 1
        if not texts:
            head, size = one, 0
        texts.append(one.text)
        size += len(one.text) + len(between)
    yield from whole()

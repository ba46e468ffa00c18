"""`scan`: every document of every file, once, through the filters; record batches of those that are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from hone.core.choice import opened
from hone.core.errors import FAULTS_NAMED, DataError, Fault
from hone.data.corpus.card import Notes, Part, Tally
from hone.data.corpus.documents import GZIP, Document, Limits, binary, documents, format_of, packed
from hone.data.corpus.filters.filter import Bounds
from hone.data.corpus.filters.table import FILTERS
from hone.data.corpus.settings import CorpusSettings, CorpusSource
from hone.data.dataset import CHARACTERS, FILE, LINE
from hone.data.file_state import FileState, vanished
from hone.data.paths import error_of, is_glob, paths_of, refuse, unrepeatable

ROWS_AT_ONCE = 4096
CHARACTERS_AT_ONCE = 1 << 22  # of the texts of a batch: what bounds memory where they are long
HASH_BYTES = 16
SOURCE, DIGEST, PAIR, KIND = "_source", "_digest", "pair", "_kind"
SCHEMA = pa.schema(
    [("text", pa.string()), ("document", pa.string()), (PAIR, pa.string()), (KIND, pa.string()), (SOURCE, pa.int32()),
     (CHARACTERS, pa.int64()), (DIGEST, pa.binary(HASH_BYTES)), (LINE, pa.int64()), (FILE, pa.int32())]
)  # fmt: skip
SKIPPED = {"data.binary", "data.encoding", "data.long-line", "data.broken-json", "data.not-an-object",
           "data.duplicate-column"}  # what `unreadable: skip` leaves out; other faults are the settings'  # fmt: skip
EMPTY, LEFT_OUT = {"data.empty"}, {"data.binary", "data.folder"}  # of files: no fault, and what it leaves out


@dataclass(frozen=True, kw_only=True)
class CorpusFile(FileState):
    """A file of a corpus, as it was when it was listed.

    Attributes:
        source: Name of the source that it belongs to.
        kind: Its format, and whether it is packed: what its name says of how its bytes are read.
    """

    source: str
    kind: str


def list_files(settings: CorpusSettings, base: Path) -> tuple[list[CorpusFile], list[Fault]]:
    """The files of all sources with their digests, and those left out where that is asked for: binary files whose
    suffix is none of a corpus, and folders that a glob names. A file that two patterns of a source name counts once.

    Raises:
        DataError: There is none, or one cannot be read or is in no format that a corpus can be in.
    """
    files: list[CorpusFile] = []
    left_out: list[Fault] = []
    faults: list[Fault] = []
    skip = settings.unreadable == "skip"
    for name, source in settings.named().items():
        paths: list[Path] = []
        for pattern in source.patterns:
            try:
                paths += paths_of(pattern, base, passing=EMPTY | LEFT_OUT if skip and is_glob(pattern) else EMPTY)
            except DataError as error:
                faults += error.faults
        for path in dict.fromkeys(paths):
            one = _listed(path, name, source)
            if isinstance(one, CorpusFile):
                files.append(one)
            else:
                (left_out if skip and one.code in LEFT_OUT else faults).append(one)
    refuse(faults)
    return files, left_out


def _listed(path: Path, name: str, source: CorpusSource) -> CorpusFile | Fault:
    """A file of the source ``name``, or why it is none."""
    shown = str(path)
    try:
        if path.is_dir():
            return Fault("data.folder", "a folder", "a file", file=shown)
        for pipe in unrepeatable([path]):
            return pipe
        kind = format_of(path, source.format)
        if kind is None:
            what, expected = binary(path) if path.is_file() else "", ".txt, .jsonl or .parquet, or .gz after it"
            found, fix = f"the suffix {path.suffix!r}", "State the format: format: text"
            return (
                Fault("data.binary", f"{found}, and {what}", expected, file=shown) if what
                else Fault("data.format", found, expected, file=shown, fix=fix)
            )  # fmt: skip
        return CorpusFile.of(path, source=name, kind=kind + (GZIP if packed(path) else ""))
    except FileNotFoundError:
        return vanished(path)


def scan(files: Sequence[CorpusFile], settings: CorpusSettings, notes: Notes) -> Iterator[pa.RecordBatch]:
    """Record batches of `SCHEMA`; memory holds one.

    Raises:
        DataError: A file has changed or cannot be read; the first 50 faults are named, all are counted.
    """
    sources = settings.named()
    limits = Limits(settings.max_line_bytes, settings.max_characters)
    keep = _keeping(settings, notes.tallies)
    faults: list[Fault] = []
    count = 0
    rows: list[tuple[Any, ...]] = []
    size = 0
    for number, file in enumerate(files):
        notes.empty_files += not file.bytes
        for one in _documents(file, sources[file.source], limits):
            if isinstance(one, Fault):
                if settings.unreadable == "skip" and one.code in SKIPPED:
                    notes.leave_out(one)
                    continue
                count += 1
                faults += [one] if len(faults) < FAULTS_NAMED else []
                if one.code in ("data.changed", "data.vanished"):
                    raise error_of(faults, count)
                continue
            _note(notes, file.source, one)
            if not keep(one) or faults:
                continue
            rows.append(_row(one, source=list(sources).index(file.source), file=number))
            size += len(one.text) + len(one.pair)
            if len(rows) >= ROWS_AT_ONCE or size >= CHARACTERS_AT_ONCE:
                yield _batch(rows)
                rows, size = [], 0
    if faults:
        raise error_of(faults, count)
    if rows:
        yield _batch(rows)


def _documents(file: CorpusFile, source: CorpusSource, limits: Limits) -> Iterator[Document | Fault]:
    """The documents of a file, and at the end a fault where it is no longer the file that was listed."""
    try:
        if file.bytes:
            yield from documents(file.path, source, limits)
    except FileNotFoundError:
        yield vanished(file.path)
        return
    changed = file.unchanged()
    if changed is not None:
        yield changed


def _keeping(settings: CorpusSettings, tallies: Sequence[Tally]) -> Callable[[Document], bool]:
    """Whether a document passes every filter, each of which counts what it takes."""
    chain = []
    for value, tally in zip(settings.filters, tallies, strict=True):
        entry, settings_of = opened(value, FILTERS)
        bounds = cast(Bounds, settings_of)
        chain.append((entry.measure(bounds), bounds, tally))

    def keep(document: Document) -> bool:
        for measure, bounds, tally in chain:
            value = measure(document.text)
            tally.see(value)
            if not bounds.hold(value):
                tally.take(len(document.text), place=f"{document.file}:{document.line}")
                return False
        return True

    return keep


def _note(notes: Notes, source: str, document: Document) -> None:
    notes.divided += document.divided > 0
    part = notes.read[source]
    notes.read[source] = part.model_copy(
        update={"documents": part.documents + 1, "characters": part.characters + len(document.text)}
    )


def _row(document: Document, *, source: int, file: int) -> tuple[Any, ...]:
    digest = hashlib.blake2b(document.text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
    own = (document.text, document.name, document.pair, document.kind)
    return *own, source, len(document.text), digest, document.line, file


def _batch(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = [pa.array(column, kind.type) for column, kind in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def notes_of(files: Sequence[CorpusFile], settings: CorpusSettings) -> Notes:
    """Empty notes for reading ``files``."""
    read = {
        name: Part(name=name, files=len(own), bytes=sum(file.bytes for file in own))
        for name in settings.named()
        for own in [[file for file in files if file.source == name]]
    }
    return Notes(read, [Tally(one["name"], low=one["min"], high=one["max"]) for one in settings.filters])

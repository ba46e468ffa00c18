"""Files of data: the format of each, and what streams its raw rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hone.core.errors import Fault
from hone.data.encodings import detect
from hone.data.fields import Field
from hone.data.formats import TEXT_FORMATS, Raw, parquet
from hone.data.pairs import ANSWERS, hold_pairs
from hone.data.paths import refuse
from hone.data.source import SUFFIXES, Format

Openers = list[tuple[str, Callable[[], Raw]]]


def formats_of(paths: Sequence[Path], stated: Format) -> list[Format]:
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


def openers_of(
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

"""Rows whose fields stand in files of their own, line beside line, as translators' corpora come."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from hone.core.errors import Fault
from hone.data.encodings import detect
from hone.data.formats import Raw
from hone.data.paths import refuse


def side_by_side(files: Mapping[str, Sequence[Path]], *, several: Mapping[str, bool], shown: str) -> Callable[[], Raw]:
    """A function that streams rows of which each field is a line of its file.

    Args:
        files: Field -> its files.
        several: Field -> whether its value is the list of the lines of all its files.
        shown: What faults call all files together.

    Raises:
        DataError: A file is binary or in no one encoding.
    """
    codecs, faults = {}, []
    for path in itertools.chain(*files.values()):
        codecs[path], wrong = detect(path, shown=str(path))
        faults += wrong
    refuse(faults)
    return partial(_rows, files, codecs, several=several, shown=shown)


def _rows(
    files: Mapping[str, Sequence[Path]], codecs: Mapping[Path, str], *, several: Mapping[str, bool], shown: str
) -> Raw:
    """Rows until a file ends; then, where others go on, the fault that says how many lines each has."""
    paths = [path for each in files.values() for path in each]
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(path.open(encoding=codecs[path], newline="\n")) for path in paths]
        for number in itertools.count(1):
            lines = [next(file, None) for file in opened]
            if any(line is None for line in lines):
                break
            texts = iter([line.rstrip("\r\n") for line in lines if line is not None])
            each = {field: [next(texts) for _ in own] for field, own in files.items()}
            yield number, {field: own if several[field] else own[0] for field, own in each.items()}
        if any(line is not None for line in lines):
            counts = [number - 1 + _left(line, file) for line, file in zip(lines, opened, strict=True)]
            said = ", ".join(f"{count:,} lines in {path}" for count, path in zip(counts, paths, strict=True))
            yield Fault("data.lines-differ", said, "as many lines in each file", file=shown, line=min(counts) + 1,
                        fix="Line up the files; a blank line counts, too.")  # fmt: skip


def _left(line: str | None, file: IO[str]) -> int:
    """Lines of a file from ``line`` on, which is read already; 0 where it had ended."""
    rest: Iterator[str] = iter(file)
    return 0 if line is None else 1 + sum(1 for _ in rest)

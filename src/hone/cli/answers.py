"""``hone predict``: rows in, JSON lines out, in input order, in constant memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hone.core.errors import DataError
from hone.data.read import read_stream
from hone.predict.predictor import Predictor, load


def predict_file(bundle: Path, file: str, *, out: Path | None, device: str) -> None:
    """Answer every row of ``file`` (``-``: standard input)."""
    predictor = load(bundle, device=device)
    parts = _parts(predictor, file)
    with _target(out) as target:
        for answers in predictor.stream(parts):
            for answer in answers:
                target.write(json.dumps(answer, ensure_ascii=False) + "\n")
            target.flush()


def _parts(predictor: Predictor, file: str) -> Iterator[dict[str, list[object]]]:
    """Columns of the first set of input fields that the file has."""
    choices = predictor.input_choices
    if file == "-":
        return read_stream(sys.stdin, choices[-1])
    for fields in choices[:-1]:
        try:
            stream = read_stream(Path(file), fields)
            return itertools.chain([next(stream)], stream)
        except StopIteration:
            return iter(())
        except DataError as error:
            if error.code != "data.column-missing":
                raise
    return read_stream(Path(file), choices[-1])


@contextlib.contextmanager
def _target(out: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that appears when it is complete."""
    if out is None:
        yield sys.stdout
        return
    handle, partial = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        os.chmod(partial, 0o644)
        os.replace(partial, out)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise

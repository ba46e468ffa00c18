"""``hone predict``: rows in, JSON lines out, in input order, in constant memory."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hone.cli.decoding import parse_decoding
from hone.core.disk import appearing
from hone.core.errors import DataError, RecipeError
from hone.data.stream import read_stream
from hone.predict.predictor import Predictor, load
from hone.predict.relations import RelationPredictor, load_relations
from hone.tasks.faulty import OfExamples

BATCHES_PLACED = 4  # one is answered, one encoded, one read


def predict_file(
    bundle: Path,
    file: str,
    *,
    out: Path | None,
    columns: Mapping[str, str],
    opening: Mapping[str, Any],
    entities: Path | None = None,
    asking: Mapping[str, Any] | None = None,
    decoding: Sequence[str] = (),
    best: Mapping[str, Any] | None = None,
) -> None:
    """Answer every row of ``file`` (``-``: standard input), whose fields stand in ``columns``.

    Args:
        opening: Options of `hone.load`.
        entities: A bundle whose entities ``bundle`` tells the relations of.
        asking: Options of `hone.load_relations` about them, None where they are left out.
        decoding: Settings of decoding that replace the bundle's, each ``KEY=VALUE``.
        best: Of how many texts the best is answered, ``best_of``, by which ``reward`` bundle and ``label``; None where
            they are left out.
    """
    if out is not None and out.is_dir():
        raise RecipeError(f"found a folder at {out}", expected="a file for the answers", code="predict.out")
    asked = {name: value for name, value in (asking or {}).items() if value is not None}
    wanted = {name: value for name, value in (best or {}).items() if value is not None}
    predictor: Predictor | RelationPredictor
    if entities is not None:
        if decoding or wanted:
            raise RecipeError(f"found {'--decoding' if decoding else _options(wanted)} beside --entities",
                              expected="one of them", fix="Relations are told and not written.",
                              code="predict.entities")  # fmt: skip
        predictor = load_relations(bundle, entities=entities, **asked, **opening)
    elif asked:
        raise RecipeError(f"found {_options(asked)} without --entities", expected="--entities BUNDLE beside it",
                          fix="They are about relations between entities.", code="predict.entities")  # fmt: skip
    else:
        predictor = load(bundle, **opening)
        predictor = predictor.decoding(**parse_decoding(decoding)) if decoding else predictor
        predictor = _best(predictor, wanted, opening) if wanted else predictor
    source = sys.stdin if file in ("-", "/dev/stdin") else Path(file)
    places = _Places()
    parts = read_stream(source, *predictor.input_choices, columns=columns, placed=places.add)
    with _target(out) as target:
        try:
            for answers in predictor.stream(parts, eager=source is not sys.stdin and Path(file).is_file()):
                for answer in answers:
                    target.write(json.dumps(answer, ensure_ascii=False) + "\n")
                target.flush()
        except DataError as error:
            if not isinstance(error, OfExamples):
                raise
            raise error.placed(places.of(error.examples)) from error


def _best(predictor: Predictor, wanted: Mapping[str, Any], opening: Mapping[str, Any]) -> Predictor:
    """``predictor``, answering the best of several texts."""
    if not {"best_of", "reward"} <= wanted.keys():
        lacking = {"best_of", "reward"} - wanted.keys()
        raise RecipeError(f"found {_options(wanted)} without {_options(lacking)}",
                          expected="--best-of N --reward BUNDLE", code="predict.reward")  # fmt: skip
    reward = load(wanted["reward"], **{name: value for name, value in opening.items() if name != "base"})
    return predictor.best_of(wanted["best_of"], reward, label=wanted.get("label", ""))


def _options(names: Iterable[str]) -> str:
    return " and ".join(f"--{name.replace('_', '-')}" for name in sorted(names))


class _Places:
    """Files and lines of the rows that were read last."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, str, Sequence[int]]] = deque(maxlen=BATCHES_PLACED)
        self._read = 0

    def add(self, file: str, lines: Sequence[int]) -> None:
        self._batches.append((self._read, file, lines))
        self._read += len(lines)

    def of(self, rows: Iterable[int]) -> dict[int, tuple[str, int | None]]:
        """Where rows stand, counted from the first that was read."""
        return {
            row: (file, lines[row - start])
            for row in rows
            for start, file, lines in self._batches
            if start <= row < start + len(lines)
        }


@contextlib.contextmanager
def _target(out: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that appears when it is complete; what is there and no file, such as a device or a
    named pipe, is written to as it is."""
    if out is None or str(out) == "/dev/stdout":
        yield sys.stdout
        return
    if out.exists() and not out.is_file():
        with out.open("w", encoding="utf-8") as file:
            yield file
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with appearing(out, encoding="utf-8") as file:
        yield file

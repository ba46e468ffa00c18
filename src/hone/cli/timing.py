"""``hone bench``: a bundle and what else could run it, timed in alternation on the user's own texts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.bench.bench import bench
from hone.bench.examples import Example, examples_of
from hone.bench.systems import systems_for
from hone.cli.console import make_progress
from hone.cli.options import Showing
from hone.cli.single import show_and_keep
from hone.data.stream import read_stream
from hone.predict.predictor import Predictor, load


def bench_file(
    bundle: Path,
    file: Path,
    *,
    texts: int,
    repeats: int,
    opening: Mapping[str, Any],
    columns: Mapping[str, str],
    out: Path | None,
    shown: Showing,
) -> None:
    """Time the bundle on the first ``texts`` texts of ``file``; ``opening``: how `load` opens it."""
    predictor = load(bundle, **opening)
    given = _texts(predictor, file, columns=columns, most=texts)
    progress = make_progress()
    systems = systems_for(predictor, progress=progress, texts=given)
    report = bench(predictor, systems, given, repeats=repeats, progress=progress)
    show_and_keep(report, out=out, shown=shown)


def _texts(predictor: Predictor, file: Path, *, columns: Mapping[str, str], most: int) -> list[Example]:
    """The first examples of a file."""
    found: list[Example] = []
    for part in read_stream(file, *predictor.input_choices, columns=columns):
        found += examples_of(part)
        if len(found) >= most:
            break
    return list(itertools.islice(found, most))

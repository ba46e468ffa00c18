"""``hone index`` and ``hone search``."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from hone.cli.arguments import settings_of
from hone.cli.console import make_progress
from hone.core.errors import DataError, RecipeError
from hone.core.settings import check_settings
from hone.data.fields import Field
from hone.data.source import SUFFIXES
from hone.data.stream import read_stream
from hone.retrieval.build import index
from hone.retrieval.index import load_index
from hone.retrieval.settings import IndexSettings

FILE_NAME = re.compile(rf"\S+({'|'.join(map(re.escape, SUFFIXES))})")  # one word that ends as a file of data does


def index_file(
    bundle: Path,
    file: str,
    *,
    out: Path,
    overrides: Sequence[str],
    device: str,
    columns: Mapping[str, str],
    as_json: bool,
) -> None:
    """``hone index``: ``overrides`` are settings of the index."""
    settings, faults = check_settings(IndexSettings, settings_of(overrides, "index"))
    if settings is None:
        raise RecipeError.of(faults, what="the command")
    made = index(bundle, file, out=out, settings=settings, columns=columns, device=device, progress=make_progress())
    rows = made.manifest.lineage.data[0].rows
    if as_json:
        typer.echo(json.dumps({"index": str(out), "digest": made.digest, "rows": rows}))
    else:
        typer.echo(f"index    {out}, {rows:,} texts")


def search_index(
    folder: Path, query: str, *, bundle: Path | None, k: int, by: str, device: str, columns: Mapping[str, str]
) -> None:
    """``hone search``: one JSON line a query."""
    opened = load_index(folder, bundle=bundle, device=device)
    for queries in _queries(query, columns):
        for one, hits in zip(queries, opened.search(queries, k=k, by=by), strict=True):
            sys.stdout.write(json.dumps({"query": one, "hits": hits}, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _queries(query: str, columns: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """A text as it stands, or the texts of a file, or of standard input."""
    if query != "-" and not os.path.isfile(query):  # which takes any text; a path refuses one of 300 characters
        if FILE_NAME.fullmatch(query):
            raise DataError(
                f"there is no file {query}",
                expected="a query, or a file of them",
                fix="To search for that name itself: echo NAME | hone search INDEX",
                code="data.missing",
            )
        yield [query]
        return
    source = sys.stdin if query == "-" else Path(query)
    for part in read_stream(source, (Field("text", "text"),), columns=columns):
        yield part["text"]

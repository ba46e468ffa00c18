"""The commands that ask a bundle, or an index, rather than make one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from hone.cli.columns import parse_columns
from hone.cli.options import (
    Best,
    ColumnNames,
    DecodingSetting,
    DeviceName,
    Json,
    Measuring,
    Opening,
    Out,
    Overrides,
    Relations,
    Showing,
    grouped,
)

app = typer.Typer()


@app.command()
@grouped
def predict(
    bundle: Path,
    relations: Relations,
    best: Best,
    opening: Opening,
    file: Annotated[str, typer.Argument(help="Rows to answer; - for standard input.")] = "-",
    out: Annotated[Path | None, typer.Option("--out", help="File for the answers; stdout when left out.")] = None,
    decoding: DecodingSetting = None,
    column: ColumnNames = None,
) -> None:
    """Answer every row: one JSON line a row, in input order."""
    from hone.cli.answers import predict_file

    predict_file(
        bundle, file, out=out, columns=parse_columns(column or []), opening=vars(opening), entities=relations.entities,
        asking={"most_pairs": relations.most_pairs, "without": relations.without}, decoding=decoding or [],
        best={**vars(best), "label": best.label or None},
    )  # fmt: skip


@app.command()
@grouped
def compare(
    first: Annotated[Path, typer.Argument(help="The bundle that there is.")],
    second: Annotated[Path, typer.Argument(help="The one that may be better.")],
    file: Annotated[Path, typer.Argument(help="Labeled rows that neither learned from.")],
    how: Measuring,
    shown: Showing,
    overrides: Overrides = None,
) -> None:
    """Is the second bundle really better? Paired intervals and tests on the same rows."""
    from hone.cli.single import compare_bundles

    compare_bundles(first, second, file, overrides=overrides or [], how=how, shown=shown)


@app.command()
@grouped
def chat(
    bundle: Annotated[Path, typer.Argument(help="A bundle of dialogue or text-generation.")],
    opening: Opening,
    system: Annotated[str, typer.Option("--system", help="How to answer; else as the bundle has it.")] = "",
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="KEY=VALUE", help="An attribute, or keywords parted by |; repeatable."),
    ] = None,
    decoding: DecodingSetting = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Each answer as a JSON object on one line; else one may have several.")
    ] = False,
    language: Annotated[Literal["en", "zh"], typer.Option("--language", help="Of all but answers and errors.")] = "en",
) -> None:
    """Converse with a bundle: on a terminal, or lines in and answers out, which keep step with --json alone."""
    from hone.cli.chat import chat_with

    chat_with(
        bundle, system=system, controls=control or [], decoding=decoding or [], opening=vars(opening), as_json=as_json,
        language=language,
    )  # fmt: skip


@app.command()
def index(
    bundle: Annotated[Path, typer.Argument(help="A bundle of sentence-embedding.")],
    file: Annotated[str, typer.Argument(help="Rows with text, and id where they have one.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the index.")],
    overrides: Overrides = None,
    device: DeviceName = "auto",
    column: ColumnNames = None,
    as_json: Json = False,
) -> None:
    """Make texts searchable: hnsw=true for a graph, precision=float16, dimensions=N, bm25=false."""
    from hone.cli.searching import index_file

    columns = parse_columns(column or [])
    index_file(bundle, file, out=out, overrides=overrides or [], device=device, columns=columns, as_json=as_json)


@app.command()
def search(
    index: Annotated[Path, typer.Argument(help="Folder that hone index wrote.")],
    query: Annotated[str, typer.Argument(help="A query, or a file of them; - for standard input.")] = "-",
    k: Annotated[int, typer.Option("-k", help="How many texts a query.")] = 10,
    by: Annotated[str, typer.Option("--by", help="exact, hnsw, bm25, or fused: dense and bm25 as one.")] = "exact",
    bundle: Annotated[Path | None, typer.Option("--bundle", help="The bundle it was made with, if it moved.")] = None,
    device: DeviceName = "auto",
    column: ColumnNames = None,
) -> None:
    """Search an index: one JSON line a query."""
    from hone.cli.searching import search_index

    search_index(index, query, bundle=bundle, k=k, by=by, device=device, columns=parse_columns(column or []))


@app.command()
@grouped
def serve(
    bundles: Annotated[
        list[str], typer.Argument(help="A bundle; or several, each a folder or NAME=FOLDER.", metavar="BUNDLE...")
    ],
    opening: Opening,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port")] = 8000,
) -> None:
    """Serve a bundle over HTTP: POST /predict; or several, POST /predict/NAME."""
    from hone.serve.server import serve_bundles

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server answers what it has taken, then ends by the signal
    serve_bundles(bundles, host=host, port=port, **vars(opening))


@app.command()
@grouped
def bench(
    bundle: Path,
    file: Annotated[Path, typer.Argument(help="Texts to answer, labeled or not.")],
    opening: Opening,
    shown: Showing,
    texts: Annotated[int, typer.Option("--texts", min=1, help="Most texts that are read from it.")] = 1000,
    repeats: Annotated[int, typer.Option("--repeats", min=2, help="Timings of each figure.")] = 6,
    column: ColumnNames = None,
    out: Out = None,
) -> None:
    """Time a bundle on this machine and these texts, beside the transformers pipeline."""
    from hone.cli.timing import bench_file

    columns = parse_columns(column or [])
    bench_file(bundle, file, texts=texts, repeats=repeats, opening=vars(opening), columns=columns, out=out, shown=shown)

"""The command ``hone``."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hone import __version__
from hone.cli import asking
from hone.cli.columns import parse_columns
from hone.cli.ending import interrupted, unexpected
from hone.cli.launching import named, quiet_unless_first
from hone.cli.options import (
    BaseName,
    ColumnNames,
    Compression,
    DeviceName,
    Inspected,
    Json,
    Measuring,
    Out,
    Overrides,
    Planning,
    Showing,
    Training,
    Where,
    grouped,
)
from hone.core.errors import INTERRUPTED, HoneError

app = typer.Typer(
    name="hone",
    help="From a pretrained language model and your text to a measured, compressed, served model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hone {__version__}")
        raise typer.Exit


@app.callback()
def root(
    verbose: Annotated[int, typer.Option("-v", count=True, help="Say more; twice: everything.")] = 0,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log lines as JSON.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Configure logging; the library itself never does."""
    from hone.cli.logs import configure_logging

    configure_logging(verbose, as_json=log_json)
    quiet_unless_first()


@app.command()
def run(recipe: Path, overrides: Overrides = None, out: Out = None, as_json: Json = False) -> None:
    """Run every stage of a recipe."""
    from hone.cli.console import make_progress
    from hone.cli.show import show_result
    from hone.pipeline.run import run_recipe

    result = run_recipe(recipe, out=out, overrides=overrides or [], progress=make_progress())
    show_result(result, as_json=as_json)


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@grouped
def launch(
    command: Annotated[
        list[str], typer.Argument(help="run, finetune, pretrain, prefer or reinforce, and all that belongs to it.")
    ],
    where: Where,
    max_restarts: Annotated[int, typer.Option("--max-restarts", min=0, help="Starts after a failure.")] = 0,
    show: Annotated[bool, typer.Option("--print", help="Only print what to type on each machine.")] = False,
) -> None:
    """Run a command that trains in several processes, here or on several machines."""
    from hone.cli.launching import launch_command

    launch_command(command, where=where, max_restarts=max_restarts, show=show)


@app.command()
@grouped
def curve(
    recipe: Path,
    shown: Showing,
    overrides: Overrides = None,
    out: Out = None,
    points: Annotated[int, typer.Option("--points", min=1, max=12, help="Parts: 1, 1/2, 1/4 ... of the data.")] = 5,
    measure: Annotated[str, typer.Option("--measure", help="The measure; the main one where none is named.")] = "",
) -> None:
    """Run a recipe on ever larger parts of its data, and tell what more would bring."""
    from hone.cli.console import make_progress
    from hone.cli.show import show_report
    from hone.pipeline.curve import learning_curve
    from hone.pipeline.recipe import load_recipe

    folder = out or Path("runs") / f"{recipe.stem}-curve"
    told = [*(overrides or []), *shown.overrides]
    report = learning_curve(
        recipe, out=folder, points=points, measure=measure, overrides=told, progress=make_progress()
    )
    show_report(report, as_json=shown.as_json, language=load_recipe(recipe, overrides=told).language)
    if not shown.as_json:
        typer.echo(f"report   {folder / 'curve.html'}")


@app.command()
@grouped
def inspect(
    files: Inspected,
    planning: Planning,
    shown: Showing,
    task: Annotated[str, typer.Option("--task", help="The task of data files; else text-classification.")] = "",
    base: Annotated[str, typer.Option("--base", help="The base that reads them; else minilm.")] = "",
    column: ColumnNames = None,
    out: Out = None,
) -> None:
    """What is in the data, or in that of a recipe, and what training on it would cost."""
    from hone.cli.planning import inspect_or_plan

    inspect_or_plan(files, planning, task=task, base=base, out=out, columns=parse_columns(column or []), shown=shown)


@app.command()
@grouped
def finetune(
    train: Annotated[Path, typer.Argument(help="Training rows.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    training: Training,
    shown: Showing,
    overrides: Overrides = None,
    task: Annotated[str, typer.Option("--task")] = "text-classification",
    base: Annotated[
        str, typer.Option("--base", help="minilm, a folder, a bundle, a hub id, or {architecture: NAME}.")
    ] = "minilm",
    validation: Annotated[str | None, typer.Option("--validation", help="A file, or none; else carved.")] = None,
    column: ColumnNames = None,
) -> None:
    """Train a base on labeled rows; writes a new bundle."""
    from hone.cli.single import finetune_file

    finetune_file(
        train,
        out=out,
        task=task,
        base=base,
        validation=validation,
        training=training,
        columns=parse_columns(column or []),
        overrides=overrides or [],
        shown=shown,
    )


@app.command()
@grouped
def pretrain(
    corpus: Annotated[str, typer.Argument(help="A file of text, JSON lines or parquet, or a glob of such.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new base, a bundle without a task.")],
    training: Training,
    shown: Showing,
    overrides: Overrides = None,
    objective: Annotated[
        str | None, typer.Option("--objective", help="mlm, clm and others, or a list of them; else mlm.")
    ] = None,
    base: Annotated[str, typer.Option("--base", help="What goes on learning; or {architecture: NAME}.")] = "minilm",
    held_out: Annotated[str | None, typer.Option("--held-out", help="A file, or none; else carved.")] = None,
    column: ColumnNames = None,
) -> None:
    """Train a base on text that nobody labeled; writes a new base."""
    from hone.cli.single import pretrain_corpus

    pretrain_corpus(
        corpus, out=out, objective=objective, base=base, held_out=held_out, training=training,
        columns=parse_columns(column or []), overrides=overrides or [], shown=shown,
    )  # fmt: skip


@app.command()
@grouped
def prefer(
    bundle: Annotated[Path, typer.Argument(help="A bundle that writes.")],
    pairs: Annotated[Path, typer.Argument(help="Rows with its input, chosen and rejected.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    training: Training,
    shown: Showing,
    overrides: Overrides = None,
    validation: Annotated[str | None, typer.Option("--validation", help="Pairs, or none; else carved.")] = None,
    column: ColumnNames = None,
) -> None:
    """Teach a bundle that writes which of two texts is better: loss=dpo, ipo or unlikelihood."""
    from hone.cli.single import prefer_bundle

    prefer_bundle(
        bundle, pairs, out=out, validation=validation, training=training, columns=parse_columns(column or []),
        overrides=overrides or [], shown=shown,
    )  # fmt: skip


@app.command()
@grouped
def reinforce(
    bundle: Annotated[Path, typer.Argument(help="A bundle that writes.")],
    prompts: Annotated[Path, typer.Argument(help="What to write from.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    reward: Annotated[Path, typer.Option("--reward", help="A bundle that tells how good a text is.")],
    training: Training,
    shown: Showing,
    overrides: Overrides = None,
    label: Annotated[str, typer.Option("--label", help="Its label whose probability tells it.")] = "",
    column: ColumnNames = None,
) -> None:
    """Teach a bundle to write what another one finds good: policy gradient, for small models."""
    from hone.cli.single import reinforce_bundle

    source = {"path": str(prompts), "columns": parse_columns(column or [])}
    reinforce_bundle(
        bundle, source, out=out, settings={"reward": str(reward), **({"label": label} if label else {})},
        training=training, overrides=overrides or [], shown=shown,
    )  # fmt: skip


@app.command()
@grouped
def evaluate(
    bundle: Path,
    file: Annotated[Path, typer.Argument(help="Labeled rows that the bundle did not learn from.")],
    how: Measuring,
    shown: Showing,
    overrides: Overrides = None,
    base: BaseName = "",
) -> None:
    """Measure a bundle on labeled rows, with intervals."""
    from hone.cli.single import evaluate_file

    evaluate_file(bundle, file, base=base, overrides=overrides or [], how=how, shown=shown)


@app.command()
@grouped
def compress(
    bundle: Path,
    train: Annotated[Path, typer.Argument(help="Rows the method may read; a tenth is held out to compare on.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    how: Compression,
    shown: Showing,
    overrides: Overrides = None,
    device: DeviceName = "auto",
    column: ColumnNames = None,
) -> None:
    """Make a smaller or faster bundle of a bundle."""
    from hone.cli.single import compress_bundle

    if how.search == bool(how.method):
        raise typer.BadParameter("name either --method or --search")
    compress_bundle(
        bundle, train, out=out, how=how, device=device, columns=parse_columns(column or []), overrides=overrides or [],
        shown=shown,
    )  # fmt: skip


@app.command()
@grouped
def merge(
    bundle: Annotated[Path, typer.Argument(help="A bundle that was tuned by an adapter.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    shown: Showing,
    overrides: Overrides = None,
    validation: Annotated[
        Path | None, typer.Option("--validation", help="Rows to compare both on; else random words.")
    ] = None,
    base: BaseName = "",
    device: DeviceName = "auto",
    column: ColumnNames = None,
) -> None:
    """Work an adapter into the weights of its base: a plain bundle that answers the same."""
    from hone.cli.single import merge_bundle

    columns = parse_columns(column or [])
    merge_bundle(
        bundle, validation, out=out, base=base, device=device, columns=columns, overrides=overrides or [],
        shown=shown,
    )  # fmt: skip


@app.command()
@grouped
def ensemble(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles of one task that read alike: other seeds, say.")],
    validation: Annotated[str, typer.Option("--validation", help="A file to fit decisions and to compare on.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    shown: Showing,
    device: DeviceName = "auto",
    column: ColumnNames = None,
) -> None:
    """Make one bundle that answers by the mean of several."""
    from hone.cli.single import ensemble_bundles

    ensemble_bundles(
        bundles, out=out, validation=validation, device=device, columns=parse_columns(column or []), shown=shown
    )


@app.command()
def verify(bundle: Path, as_json: Json = False) -> None:
    """Check every byte of a bundle against its manifest."""
    from hone.cli.verifying import verify_bundle

    verify_bundle(bundle, as_json=as_json)


@app.command()
def init(
    task: Annotated[str, typer.Argument(help="A task's name; `hone init list` names them.")] = "text-classification",
) -> None:
    """Write a commented recipe for a task to stdout."""
    from hone.pipeline.sample import sample_recipe

    typer.echo(sample_recipe(task), nl=False)


@app.command()
def env(as_json: Json = False) -> None:
    """The machine and the versions, ready to paste into a bug report."""
    from hone.cli.environment import environment

    facts = environment()
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    width = max(map(len, facts))
    typer.echo("\n".join(f"{name:<{width}}  {value}" for name, value in facts.items()))


app.add_typer(asking.app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 unusable input, 3 gate not met, 130 interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(exit_code(arguments))


def _terminated(*_: object) -> None:
    """SIGTERM ends as Ctrl-C does, also what takes Ctrl-C for a word to itself."""
    raise SystemExit(INTERRUPTED)


def exit_code(arguments: list[str] | None) -> int:
    """Run the command, and return its exit code."""
    try:
        code: Any = app(args=arguments, standalone_mode=False)
    except HoneError as error:
        typer.echo(named(str(error)), err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return interrupted()
    except SystemExit as ended:
        if ended.code != INTERRUPTED:  # a library's own end, with its own code
            raise
        return interrupted()
    except OSError as error:
        typer.echo(f"hone: the machine refused: {error}", err=True)
        return 1
    except Exception as error:
        return unexpected(error)
    return interrupted() if code == INTERRUPTED else int(code or 0)  # typer makes a code of a keyboard interrupt

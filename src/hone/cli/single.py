"""The commands of one stage: each builds the recipe of that stage and runs it down the one road."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from hone.bundle.bundle import Bundle, require_free
from hone.bundle.stage import CORPUS, HELD_OUT
from hone.cli.arguments import beside, nested, settings_of, split_arguments
from hone.cli.columns import parse_columns
from hone.cli.console import make_progress
from hone.cli.decoding import parse_decoding
from hone.cli.options import Compression, Measuring, Showing, Training
from hone.cli.show import show_report
from hone.core.disk import write_atomically
from hone.core.errors import BundleError, RecipeError
from hone.pipeline.recipe import load_recipe, make_recipe
from hone.pipeline.run import Result, run_stages, with_inspect
from hone.pipeline.yaml_file import parse_value
from hone.report.catalog import Language
from hone.report.console import to_warnings
from hone.report.html import to_html
from hone.report.report import Report
from hone.tasks.fields import PAIRS, VALIDATION_PAIRS
from hone.train.reinforce_settings import PROMPTS

STAGE = re.compile(r"^stages\.\d+\.")
RECIPES = (".yaml", ".yml")  # ends of their files


def inspect_files(
    files: Sequence[Path], *, task: str, base: str, out: Path | None, columns: Mapping[str, str], shown: Showing
) -> None:
    """``hone inspect``: the training that it prices has the default settings; of a recipe all that it names."""
    if len(files) == 1 and files[0].suffix in RECIPES:
        with tempfile.TemporaryDirectory() as folder:
            recipe = load_recipe(files[0], overrides=shown.overrides)
            inspected = replace(recipe, stages=with_inspect(recipe.stages))
            result = run_stages(inspected, out=Path(folder), progress=make_progress(), until="inspect")
        show_and_keep(result.reports["inspect"], out=out, shown=shown, language=result.language)
        return
    names = ["train", "test", *(f"data{i}" for i in range(3, len(files) + 1))]
    values = {
        **_head(task, base),
        "data": {
            **{name: _source(file, columns) for name, file in zip(names, files, strict=False)},
            "validation": "none",
        },
        "stages": ["inspect", "finetune"],
        "language": shown.language or "en",
    }
    with _told_as_arguments(), tempfile.TemporaryDirectory() as folder:
        recipe = make_recipe(values, folder=Path())
        result = run_stages(recipe, out=Path(folder), progress=make_progress(), until="inspect")
    show_and_keep(result.reports["inspect"], out=out, shown=shown, language=result.language)


def finetune_file(
    train: Path,
    *,
    out: Path,
    task: str,
    base: str,
    validation: str | None,
    training: Training,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    shown: Showing,
) -> None:
    """``hone finetune``: the bundle goes to ``out``, the reports and logs beside it."""
    require_free(out.resolve())
    data = {"train": _source(train, columns), **_held("validation", validation, columns)}
    chosen, settings = split_arguments(overrides)
    stage = {"kind": "finetune", **nested(settings)}
    values = {**_head(task, base), "data": data, "stages": [stage], **vars(training)}
    values["task"] = {"name": task, **nested(chosen)}
    _make(values, "finetune", bundle=None, out=out, shown=shown)


def evaluate_file(
    bundle: Path, file: Path, *, base: str, overrides: Sequence[str], how: Measuring, shown: Showing
) -> None:
    """``hone evaluate``."""
    stage = {"kind": "evaluate", **nested(_measuring(overrides, how, stage="evaluate"))}
    _measure(Bundle.open(bundle, base=base), file, stage, how=how, shown=shown)


def compare_bundles(
    first: Path, second: Path, file: Path, *, overrides: Sequence[str], how: Measuring, shown: Showing
) -> None:
    """``hone compare``."""
    settings = beside({"against": str(first)}, _measuring(overrides, how, stage="compare"))
    stage = {"kind": "compare", **nested(settings)}
    _measure(Bundle.open(second), file, stage, how=how, shown=shown)


def _measuring(overrides: Sequence[str], how: Measuring, *, stage: str) -> dict[str, Any]:
    asked = parse_decoding(how.decoding or [])
    return beside({f"decoding.{name}": value for name, value in asked.items()}, settings_of(overrides, stage))


def _measure(bundle: Bundle, file: Path, stage: Mapping[str, Any], *, how: Measuring, shown: Showing) -> None:
    """Run a stage that changes nothing on the rows of ``file``, and show what it found."""
    values = _over(bundle, stage, {"test": _source(file, parse_columns(how.column or []))}, device=how.device)
    with _told_as_arguments(), tempfile.TemporaryDirectory() as folder:
        recipe = make_recipe({**values, "language": shown.language or "en"}, folder=Path())
        result = run_stages(recipe, out=how.out or Path(folder), progress=make_progress(), bundle=bundle)
    _show(result, stage["kind"], as_json=shown.as_json)
    if how.out is not None and not shown.as_json:
        _name_pages(result.pages)


def compress_bundle(
    bundle: Path,
    train: Path,
    *,
    out: Path,
    how: Compression,
    device: str,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    shown: Showing,
) -> None:
    """``hone compress``: the new bundle goes to ``out``, its report beside it."""
    require_free(out.resolve())
    opened = Bundle.open(bundle)
    named = {"train": str(train), "validation": how.validation, "unlabeled": how.unlabeled}
    data = {name: _source(file, columns) for name, file in named.items() if file}
    settings = beside({"method": how.method or "search"}, settings_of(overrides, "compress"))
    stage = {"kind": "compress", **nested(settings)}
    _make(_over(opened, stage, data, device=device), "compress", bundle=opened, out=out, shown=shown)


def pretrain_corpus(
    corpus: str,
    *,
    out: Path,
    objective: str | None,
    base: str,
    held_out: str | None,
    training: Training,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    shown: Showing,
) -> None:
    """``hone pretrain``: the new base goes to ``out``, its report and log beside it."""
    require_free(out.resolve())
    data: dict[str, Any] = {CORPUS: {"path": corpus, **columns}}
    if held_out:
        data[HELD_OUT] = held_out if held_out == "none" else {"path": held_out, **columns}
    asked = {} if objective is None else {"objective": parse_value(objective)}
    settings = {"objective": "mlm", **beside(asked, settings_of(overrides, "pretrain"))}
    stage = {"kind": "pretrain", **nested(settings)}
    values = {"version": 1, "base": _base(base), "data": data, "stages": [stage], **vars(training)}
    _make(values, "pretrain", bundle=None, out=out, shown=shown)


def prefer_bundle(
    bundle: Path,
    pairs: Path,
    *,
    out: Path,
    validation: str | None,
    training: Training,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    shown: Showing,
) -> None:
    """``hone prefer``: the new bundle goes to ``out``, its report and log beside it."""
    require_free(out.resolve())
    opened = Bundle.open(bundle)
    data = {PAIRS: _source(pairs, columns), **_held(VALIDATION_PAIRS, validation, columns)}
    stage = {"kind": "prefer", **nested(settings_of(overrides, "prefer"))}
    _make(_over(opened, stage, data, **vars(training)), "prefer", bundle=opened, out=out, shown=shown)


def reinforce_bundle(
    bundle: Path,
    source: Mapping[str, Any],
    *,
    out: Path,
    settings: Mapping[str, Any],
    training: Training,
    overrides: Sequence[str],
    shown: Showing,
) -> None:
    """``hone reinforce`` on the prompts of ``source``: the new bundle goes to ``out``, its report and log beside it."""
    require_free(out.resolve())
    opened = Bundle.open(bundle)
    stage = {"kind": "reinforce", **nested(beside(settings, settings_of(overrides, "reinforce")))}
    values = _over(opened, stage, {PROMPTS: dict(source)}, **vars(training))
    _make(values, "reinforce", bundle=opened, out=out, shown=shown)


def merge_bundle(
    bundle: Path,
    validation: Path | None,
    *,
    out: Path,
    base: str,
    device: str,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    shown: Showing,
) -> None:
    """``hone merge``: the new bundle goes to ``out``, its report beside it."""
    require_free(out.resolve())
    opened = Bundle.open(bundle, base=base)
    data = {} if validation is None else {"validation": _source(validation, columns)}
    stage = {"kind": "merge", **nested(settings_of(overrides, "merge"))}
    _make(_over(opened, stage, data, device=device), "merge", bundle=opened, out=out, shown=shown)


def ensemble_bundles(
    bundles: Sequence[Path],
    *,
    out: Path,
    validation: str,
    device: str,
    columns: Mapping[str, str],
    shown: Showing,
) -> None:
    """``hone ensemble``: the new bundle goes to ``out``, its report beside it."""
    require_free(out.resolve())
    stage = {"kind": "ensemble", "members": [str(bundle) for bundle in bundles]}
    data = {"validation": _source(validation, columns)}
    values = _over(Bundle.open(bundles[0]), stage, data, device=device)
    _make(values, "ensemble", bundle=None, out=out, shown=shown)


def _make(values: Mapping[str, Any], stage: str, *, bundle: Bundle | None, out: Path, shown: Showing) -> None:
    """Run the one stage of a recipe: a new bundle at ``out``, its reports beside it, and what was found is shown."""
    target = out.resolve()  # "." and "x/.." have a name then
    side = target.with_name(target.name + ".run")
    near = side if out.is_absolute() else Path(os.path.relpath(side))  # before this folder may be replaced
    with _told_as_arguments():
        recipe = make_recipe({**values, "language": shown.language or "en"}, folder=Path())
        result = run_stages(recipe, out=side, progress=make_progress(), bundle=bundle, bundle_to=target)
    _warn_before(result, stage, as_json=shown.as_json)
    _show(result, stage, as_json=shown.as_json)
    if not shown.as_json:
        typer.echo(f"bundle   {out}")
        _name_pages(near / page.relative_to(side) for page in result.pages)


def _warn_before(result: Result, stage: str, *, as_json: bool) -> None:
    """What the reports before that of ``stage`` warn of, such as a base that does not know the language: the command
    shows no more of them."""
    for kind, report in result.reports.items():
        if kind != stage and report.warnings:
            typer.echo(to_warnings(report.warnings), err=as_json)


def _name_pages(pages: Iterable[Path]) -> None:
    for page in pages:
        typer.echo(f"report   {page}")


@contextmanager
def _told_as_arguments() -> Iterator[None]:
    """Within it faults of the stage are told by the key that was given, not by its place in the recipe made of it."""
    try:
        yield
    except RecipeError as error:
        if not any(STAGE.match(fault.field) for fault in error.faults):
            raise
        faults = [replace(fault, field=STAGE.sub("", fault.field)) for fault in error.faults]
        raise RecipeError(
            error.found.replace("the recipe", "the command"),
            expected=error.expected,
            fix=error.fix,
            code=error.code,
            faults=faults,
        ) from error


def _over(bundle: Bundle, stage: Mapping[str, Any], data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The recipe of one stage about the task of ``bundle``."""
    return {"version": 1, "task": _task_of(bundle), "data": dict(data), "stages": [dict(stage)], **more}


def _held(name: str, given: str | None, columns: Mapping[str, str]) -> dict[str, Any]:
    """Data called ``name`` where it is given: a file, or none."""
    return {name: given if given == "none" else _source(given, columns)} if given else {}


def _task_of(bundle: Bundle) -> dict[str, Any]:
    record = bundle.manifest.task
    if record is None:
        raise BundleError(f"the bundle {bundle.path} has no task: it is a base model", code="bundle.no-task")
    return {"name": record.name, **record.settings}


def _head(task: str, base: str) -> dict[str, Any]:
    return {"version": 1, "task": task, "base": _base(base)}


def _base(text: str) -> Any:
    """A name, or as in a recipe what is to be made, such as ``{architecture: dan}``."""
    return parse_value(text) if text.lstrip().startswith("{") else text


def _source(file: Path | str, columns: Mapping[str, str]) -> dict[str, Any]:
    return {"path": str(file), "columns": dict(columns)}


def _show(result: Result, kind: str, *, as_json: bool) -> None:
    show_report(result.reports[kind], as_json=as_json, language=result.language)


def show_and_keep(report: Report, *, out: Path | None, shown: Showing, language: Language = "en") -> None:
    """Show a report, and write it into ``out`` as JSON and as a page where that is named; in ``language`` where none is
    asked for."""
    language = shown.language or language
    show_report(report, as_json=shown.as_json, language=language)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / f"{report.stage}.json", report.to_json().encode())
        write_atomically(out / f"{report.stage}.html", to_html(report, language=language).encode())
        if not shown.as_json:
            typer.echo(f"report   {out / f'{report.stage}.html'}")

"""The commands of one stage: each builds the recipe of that stage and runs it down the one road."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from hone.bundle.bundle import Bundle, require_free, write_atomically
from hone.cli.console import make_progress
from hone.cli.show import show_report
from hone.core.errors import BundleError, RecipeError
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import Result, run_stages
from hone.pipeline.yaml_file import parse_value
from hone.report.html import to_html
from hone.report.report import Report


def inspect_files(
    files: Sequence[Path], *, task: str, base: str, out: Path | None, columns: Mapping[str, str], as_json: bool
) -> None:
    """``hone inspect``: the training that it prices has the default settings."""
    names = ["train", "test", *(f"data{i}" for i in range(3, len(files) + 1))]
    values = {
        **_head(task, base),
        "data": {
            **{name: _source(file, columns) for name, file in zip(names, files, strict=False)},
            "validation": "none",
        },
        "stages": ["inspect", "finetune"],
    }
    recipe = make_recipe(values, folder=Path())
    with tempfile.TemporaryDirectory() as folder:
        result = run_stages(recipe, out=Path(folder), progress=make_progress(), until="inspect")
    show_and_keep(result.reports["inspect"], out=out, as_json=as_json)


def finetune_file(
    train: Path,
    *,
    out: Path,
    task: str,
    base: str,
    validation: str | None,
    seed: int,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """``hone finetune``: the bundle goes to ``out``, the reports and logs beside it."""
    target = out.resolve()  # "." and "x/.." have a name then
    require_free(target)
    data: dict[str, Any] = {"train": _source(train, columns)}
    if validation:
        data["validation"] = validation if validation == "none" else _source(validation, columns)
    chosen, settings = _split(overrides)
    values = {**_head(task, base), "seed": seed, "data": data, "stages": [{"kind": "finetune", **settings}]}
    values["task"] = {"name": task, **chosen}
    recipe = make_recipe(values, folder=Path())
    side = target.with_name(target.name + ".run")
    result = run_stages(recipe, out=side, progress=make_progress(), bundle_to=target)
    _show(result, "finetune", as_json=as_json)
    if not as_json:
        typer.echo(f"bundle   {out}")


def evaluate_file(
    bundle: Path,
    file: Path,
    *,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    out: Path | None,
    as_json: bool,
) -> None:
    """``hone evaluate``."""
    opened = Bundle.open(bundle)
    values = {
        "version": 1,
        "task": _task_of(opened),
        "data": {"test": _source(file, columns)},
        "stages": [{"kind": "evaluate", **_settings(overrides, "evaluate")}],
    }
    recipe = make_recipe(values, folder=Path())
    with tempfile.TemporaryDirectory() as folder:
        result = run_stages(recipe, out=out or Path(folder), progress=make_progress(), bundle=opened)
    _show(result, "evaluate", as_json=as_json)


def compress_bundle(
    bundle: Path,
    train: Path,
    *,
    out: Path,
    method: str,
    unlabeled: str | None,
    validation: str | None,
    columns: Mapping[str, str],
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """``hone compress``: the new bundle goes to ``out``, its report beside it."""
    target = out.resolve()
    require_free(target)
    opened = Bundle.open(bundle)
    data: dict[str, Any] = {"train": _source(train, columns)}
    if validation:
        data["validation"] = _source(validation, columns)
    if unlabeled:
        data["unlabeled"] = _source(unlabeled, columns)
    own, settings = {"name": method}, dict[str, Any]()
    for key, value in _settings(overrides, "compress").items():
        if key.startswith("method."):
            own[key.removeprefix("method.")] = value
        else:
            settings[key] = value
    values = {
        "version": 1,
        "task": _task_of(opened),
        "data": data,
        "stages": [{"kind": "compress", "method": own, **settings}],
    }
    side = target.with_name(target.name + ".run")
    recipe = make_recipe(values, folder=Path())
    result = run_stages(recipe, out=side, progress=make_progress(), bundle=opened, bundle_to=target)
    _show(result, "compress", as_json=as_json)
    if not as_json:
        typer.echo(f"bundle   {out}")


def _task_of(bundle: Bundle) -> dict[str, Any]:
    record = bundle.manifest.task
    if record is None:
        raise BundleError(f"the bundle {bundle.path} has no task: it is a base model", code="bundle.no-task")
    return {"name": record.name, **record.settings}


def _settings(overrides: Sequence[str], stage: str) -> dict[str, Any]:
    """Settings of ``stage`` from ``key=value`` arguments; a bundle's task is settled."""
    chosen, settings = _split(overrides)
    if chosen:
        raise RecipeError(
            f"found settings of the task: {', '.join(chosen)}",
            expected=f"settings of {stage} alone",
            fix="A bundle's task is settled; fine-tune another one.",
            code="recipe.override",
        )
    return settings


def _head(task: str, base: str) -> dict[str, Any]:
    return {"version": 1, "task": task, "base": base}


def _source(file: Path | str, columns: Mapping[str, str]) -> dict[str, Any]:
    return {"path": str(file), "columns": dict(columns)}


def _split(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``task.key=value`` and ``key=value`` arguments, apart."""
    task: dict[str, Any] = {}
    stage: dict[str, Any] = {}
    for text in overrides:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise RecipeError(f"found the argument {text!r}", expected="key=value", code="recipe.override")
        (task if key.startswith("task.") else stage)[key.removeprefix("task.")] = parse_value(value)
    return task, stage


def _show(result: Result, kind: str, *, as_json: bool) -> None:
    reports: Mapping[str, Report] = result.reports
    show_report(reports[kind], as_json=as_json)


def show_and_keep(report: Report, *, out: Path | None, as_json: bool) -> None:
    """Show a report, and write it into ``out`` as JSON and as a page where that is named."""
    show_report(report, as_json=as_json)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / f"{report.stage}.json", report.to_json().encode())
        write_atomically(out / f"{report.stage}.html", to_html(report).encode())
        if not as_json:
            typer.echo(f"report   {out / f'{report.stage}.html'}")

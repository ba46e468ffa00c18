"""How the command shows what a stage found."""

from __future__ import annotations

import json

import typer

from hone.pipeline.run import Result
from hone.report.catalog import Language, slice_name, word
from hone.report.console import to_text
from hone.report.report import Report

TOLD = ("forgetting",)  # tables that say what a stage did to what was there before


def show_report(report: Report, *, as_json: bool, language: Language = "en") -> None:
    """One report on stdout, as JSON or as words."""
    if as_json:
        typer.echo(json.dumps(report.model_dump(), ensure_ascii=False, allow_nan=False))
    elif (text := to_text(report, language=language)).strip():  # a training that measured nothing has nothing to show
        typer.echo(text)


def show_result(result: Result, *, as_json: bool) -> None:
    """What a run left: of each stage warnings, measures and `TOLD` (its other tables are in its page), and where things
    lie."""
    reports = {kind: report.model_dump() for kind, report in result.reports.items()}
    if as_json:
        paths = {"bundle": str(result.bundle.path) if result.bundle else None, "out": str(result.out)}
        typer.echo(json.dumps({**paths, "reports": reports}, ensure_ascii=False, allow_nan=False))
        return
    language = result.language
    for report in result.reports.values():
        found = to_text(report, language=language, only=TOLD).rstrip()
        if not found:
            continue
        on = f" ({slice_name(str(report.facts['data']), language)})" if "data" in report.facts else ""
        lines = "".join(f"  {line}\n" for line in found.split("\n"))
        typer.echo(f"{word(report.stage, language)}{on}\n{lines}")
    if result.bundle is not None:
        typer.echo(f"bundle   {result.bundle.path}")
    for page in result.pages:
        typer.echo(f"report   {page}")

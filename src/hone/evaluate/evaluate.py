"""The stage ``evaluate``: a bundle, measured on a split it never learned from."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run
from hone.core.disk import appearing
from hone.core.errors import RecipeError
from hone.data.dataset import Dataset
from hone.data.turns import conversations_in
from hone.evaluate.answering import (
    TEXT_SHOWN,
    answered,
    asked,
    beside_reference,
    judge_of,
    left_out_warnings,
    unmeasured_warnings,
)
from hone.evaluate.judged import attribute_of, by_value
from hone.evaluate.settings import EvaluateSettings
from hone.evaluate.varied import variety_measures
from hone.metrics.intervals import with_intervals
from hone.report.catalog import Language, word
from hone.report.report import Cell, Grid, Report
from hone.report.visible import shortened
from hone.tasks.label_tables import MATRIX_LABELS
from hone.tasks.long_text import long_text_advice
from hone.tasks.protocol import LABELED, Columns, FloatArray, Prediction, Scored, Task, weighing
from hone.tasks.rows import IntArray
from hone.tasks.writing_settings import WritingSettings
from hone.tasks.written import WrittenText

AS_LABELED = ("text", "gold", "predicted")


def evaluate(settings: EvaluateSettings, inputs: Inputs, run: Run) -> Outcome:
    """Measure ``inputs.bundle`` on the split ``settings.on``.

    Writes ``predictions.jsonl`` (every row: input, gold, prediction) and ``bad_cases.jsonl`` (the wrong ones, worst
    first) into ``run.folder``.

    Raises:
        RecipeError: There is no bundle or no such split.
        DataError: The split has labels that the bundle does not know.
    """
    bundle, data = _given(settings, inputs)
    predictor, task = asked(settings, bundle, data, inputs=inputs, run=run)
    task = beside_reference(task, data, _reference(inputs), run)
    told = answered(predictor, task, data, run=run, judge=judge_of(settings, inputs, run))
    predictions, columns, tally, scored = told.predictions, told.columns, told.tally, told.scored
    _write_predictions(run.folder, columns, predictions, scored)
    cut = sum(bool(prediction["truncated"]) for prediction in predictions)
    measures = with_intervals(
        tally, task.measures, specs=task.measure_specs, additive=task.additive, resamples=settings.bootstrap_resamples,
        weighing=weighing(task),
    )  # fmt: skip
    measures += variety_measures(told, resamples=settings.bootstrap_resamples)
    attributes: dict[str, Grid] = {}
    if settings.judge is not None:
        values = columns[attribute_of(settings, cast(WritingSettings, task.settings).attributes)]
        attributes["attribute_by_value"] = by_value(task, tally, values, resamples=settings.bootstrap_resamples)
    report = Report(
        stage="evaluate",
        bundle=bundle.digest,
        measures=sorted(measures, key=lambda one: one.value is None),  # what there is comes before what there is not
        tables={
            **scored.tables,
            **attributes,
            "by_length": _by_length(task, tally, told.lengths, settings),
            "worst_mistakes": _worst(scored, settings.worst, heads=_heads(task)),
        },
        warnings=[
            *_warnings(task, data, cut, run.language),
            *unmeasured_warnings(told, run.language),
            *_no_matrix(scored, run.language),
        ],
        facts=_facts(task, settings, rows=len(data), cut=cut, wrong=int((scored.badness > 0).sum())),
    )
    return Outcome(report)


def _warnings(task: Task, data: Dataset, cut: int, language: Language) -> list[str]:
    said = []
    if cut and conversations_in(data.columns) is None:
        advice = long_text_advice(task.settings, task.max_tokens, language)
        said.append(word("warn.cut", language, cut=cut, count=len(data), advice=advice))
    elif cut:
        said.append(word("warn.cut_turns", language, cut=cut, count=len(data)))
    return [*said, *left_out_warnings(data, language)]


def _no_matrix(scored: Scored, language: Language) -> list[str]:
    """What to say where there are too many labels for a matrix of them."""
    if "most_confused" not in scored.tables or "confusion" in scored.tables:
        return []
    return [word("warn.no_matrix", language, count=f"{len(scored.tables['per_class'].rows):,}", most=MATRIX_LABELS)]


def _given(settings: EvaluateSettings, inputs: Inputs) -> tuple[Bundle, Dataset]:
    if inputs.bundle is None:
        raise RecipeError("evaluate was given no bundle", fix="Put finetune before it.", code="recipe.no-bundle")
    return inputs.bundle, inputs.split(settings.on, stage="evaluate")


def _reference(inputs: Inputs) -> Bundle | None:
    """What preferences are measured against: the bundle that is named, or that ``prefer`` began with in this run."""
    lineage = None if inputs.bundle is None else inputs.bundle.manifest.lineage
    began = lineage.parents if lineage is not None and lineage.stage == "prefer" else ()
    named = inputs.others.get("reference", ())
    return next((one for one in [*named, *inputs.made] if one in named or one.digest in began), None)


def _facts(task: Task, settings: EvaluateSettings, *, rows: int, cut: int, wrong: int) -> dict[str, Cell]:
    labels = {"labels": len(task.labels)} if task.says in LABELED else {}
    return {
        "task": task.name,
        **settings.facts,
        "data": settings.on,
        "rows": rows,
        "wrong": wrong,
        "truncated": cut,
        **labels,
    }


def _by_length(task: Task, tally: FloatArray, lengths: IntArray, settings: EvaluateSettings) -> Grid:
    longest, main = int(lengths.max(initial=0)), task.main_measure
    inner = [edge for edge in settings.length_edges[1:] if edge <= longest]
    edges = [min(settings.length_edges[0], int(lengths.min(initial=longest))), *inner, longest + 1]
    rows: list[list[Cell]] = []
    for low, high in itertools.pairwise(edges):
        chosen = (lengths >= low) & (lengths < high)
        if not chosen.any():
            continue
        measured = with_intervals(
            tally[chosen],
            task.measures,
            specs={main: task.measure_specs[main], **task.measure_specs},
            additive=task.additive,
            resamples=settings.bootstrap_resamples,
            weighing=weighing(task),
        )
        measure = next(m for m in measured if m.name == main)
        rows.append([f"{low}-{high - 1}", measure.value, measure.low, measure.high, int(chosen.sum())])
    return Grid(columns=["tokens", main, "low", "high", "count"], rows=rows, show="bars")


def _heads(task: Task) -> tuple[str, str, str]:
    """What an input, the right answer and the given one are called."""
    return ("written_from", "reference_text", "written_text") if isinstance(task, WrittenText) else AS_LABELED


def _worst(scored: Scored, count: int, *, heads: Sequence[str]) -> Grid:
    order = [int(i) for i in np.argsort(-scored.badness, kind="stable")[:count] if scored.badness[i] > 0]
    rows: list[list[Cell]] = [
        [
            *(shortened(column[i], most=TEXT_SHOWN) for column in (scored.texts, scored.gold, scored.said)),
            float(scored.badness[i]),
        ]
        for i in order
    ]
    return Grid(columns=[*heads, "badness"], rows=rows)


def _write_predictions(folder: Path, columns: Columns, predictions: Sequence[Prediction], scored: Scored) -> None:
    def line(i: int) -> str:
        row = {**{name: values[i] for name, values in columns.items()}, "prediction": predictions[i]}
        return json.dumps(row, ensure_ascii=False) + "\n"

    folder.mkdir(parents=True, exist_ok=True)
    worst = (int(i) for i in np.argsort(-scored.badness, kind="stable") if scored.badness[i] > 0)
    for name, rows in (("predictions.jsonl", range(len(predictions))), ("bad_cases.jsonl", worst)):
        with appearing(folder / name, encoding="utf-8") as file:  # line by line: together they may outgrow the answers
            file.writelines(map(line, rows))

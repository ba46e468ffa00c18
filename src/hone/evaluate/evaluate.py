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
from hone.core.errors import RecipeError
from hone.data.dataset import Dataset
from hone.data.turns import conversations_in
from hone.evaluate.answering import answered, left_out_warnings, shortened, unmeasured_warnings
from hone.evaluate.judged import attribute_of, judged
from hone.evaluate.settings import EvaluateSettings
from hone.metrics.intervals import with_intervals
from hone.predict.device import pick_device
from hone.predict.predictor import open_bundle
from hone.predict.references import reference_of
from hone.report.catalog import Language, word
from hone.report.report import Cell, Grid, Report
from hone.tasks.long_text import long_text_advice
from hone.tasks.pairs import Pairs, over
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
    predictor = open_bundle(bundle, device=run.device)
    if settings.decoding:
        predictor = predictor.decoding(**settings.decoding)
    if settings.best_of is not None:
        (reward,) = inputs.others["reward"]
        predictor = predictor.best_of(settings.best_of, open_bundle(reward, device=run.device), label=settings.label)
    task = _beside(over(predictor.task, data.columns), data, inputs, run)
    told = answered(predictor, task, data, run=run)
    predictions, columns, tally, scored = told.predictions, told.columns, told.tally, told.scored
    _write_predictions(run.folder, columns, predictions, scored)
    cut = sum(bool(prediction["truncated"]) for prediction in predictions)
    measures = with_intervals(
        tally, task.measures, specs=task.measure_specs, additive=task.additive, resamples=settings.bootstrap_resamples,
        weighing=weighing(task),
    )  # fmt: skip
    by_value: dict[str, Grid] = {}
    if settings.judge is not None:
        (judge,) = inputs.others["judge"]
        attribute = attribute_of(settings, cast(WritingSettings, task.settings).attributes)
        measure, by_value["attribute_by_value"] = judged(
            open_bundle(judge, device=run.device), attribute, predictions=predictions, columns=columns
        )
        measures.append(measure)
    report = Report(
        stage="evaluate",
        bundle=bundle.digest,
        measures=sorted(measures, key=lambda one: one.value is None),  # what there is comes before what there is not
        tables={
            **scored.tables,
            **by_value,
            "by_length": _by_length(task, tally, told.lengths, settings),
            "worst_mistakes": _worst(scored, settings.worst, heads=_heads(task)),
        },
        warnings=[*_warnings(task, data, cut, run.language), *unmeasured_warnings(told, run.language)],
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


def _given(settings: EvaluateSettings, inputs: Inputs) -> tuple[Bundle, Dataset]:
    if inputs.bundle is None:
        raise RecipeError("evaluate was given no bundle", fix="Put finetune before it.", code="recipe.no-bundle")
    return inputs.bundle, inputs.split(settings.on, stage="evaluate")


def _beside(task: Task, data: Dataset, inputs: Inputs, run: Run) -> Task:
    """``task``; one over pairs beside what the reference says of them, where there is one."""
    lineage = None if inputs.bundle is None else inputs.bundle.manifest.lineage
    began = lineage.parents if lineage is not None and lineage.stage == "prefer" else ()
    named = inputs.others.get("reference", ())
    reference = next((one for one in [*named, *inputs.made] if one in named or one.digest in began), None)
    if not isinstance(task, Pairs) or reference is None:
        return task
    predictor = open_bundle(reference, device=run.device)
    pairs = over(predictor.task, data.columns)
    assert isinstance(pairs, Pairs)
    device = pick_device(run.device).type
    said = reference_of(
        pairs, data, predictor.engine, bundle=reference, device=device, cache=run.cache, progress=run.progress
    )
    return cast(Task, task.against(said))


def _facts(task: Task, settings: EvaluateSettings, *, rows: int, cut: int, wrong: int) -> dict[str, Cell]:
    labels = {"labels": len(task.labels)} if task.says in LABELED else {}
    how: dict[str, Cell] = {} if settings.best_of is None else {"best_of": settings.best_of}
    how |= {"decoding": json.dumps(settings.decoding, ensure_ascii=False)} if settings.decoding else {}
    return {
        "task": task.name,
        **how,
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
            resamples=200,
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
        [*(shortened(column[i]) for column in (scored.texts, scored.gold, scored.said)), float(scored.badness[i])]
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
        with (folder / name).open("w", encoding="utf-8") as file:  # line by line: together they may outgrow the answers
            file.writelines(map(line, rows))

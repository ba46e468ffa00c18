"""The stage ``compare``: is the second bundle really better than the first, on the same rows?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run
from hone.core.disk import appearing
from hone.core.errors import BundleError, RecipeError
from hone.core.measures import Measure, MeasureSpec
from hone.data.dataset import Dataset
from hone.evaluate.agreement import agreed, agreement
from hone.evaluate.answering import (
    TEXT_SHOWN,
    Answered,
    answered,
    asked,
    beside_reference,
    judge_of,
    left_out_warnings,
    unmeasured_warnings,
)
from hone.evaluate.comparing import CompareSettings
from hone.evaluate.varied import variety_beside
from hone.metrics.intervals import rested_on
from hone.metrics.paired import Difference, Tallied, differences
from hone.metrics.variety import VARIETY_SPECS
from hone.predict.predictor import Predictor
from hone.report.catalog import Language, word
from hone.report.numbers import NOTHING, number
from hone.report.report import Cell, Grid, Report
from hone.report.visible import shortened
from hone.tasks.fields import holds_pairs
from hone.tasks.protocol import Task, weighing
from hone.tasks.table import TASKS

SURE = 0.05  # a p value below it tells two apart
SIDES = ("first", "second")


def compare(settings: CompareSettings, inputs: Inputs, run: Run) -> Outcome:
    """Hold ``inputs.bundle``, the second, against the bundle ``settings.against``, the first.

    Writes ``differences.jsonl`` into ``run.folder``: every row that the two answer otherwise, with both answers, first
    those that lost most. Where answers of two bundles cannot be held against each other, it has every row that one of
    them answers better, and nothing is said of equal answers.

    Raises:
        RecipeError: There is no bundle or no such split.
        BundleError: They read other tokens and nothing else is counted, or their texts are measured in other units.
        DataError: The split has labels that one of the bundles does not know.
    """
    if inputs.bundle is None:
        raise RecipeError("compare was given no bundle", fix="Put finetune before it.", code="recipe.no-bundle")
    (against,) = inputs.others["against"]
    data = inputs.split(settings.on, stage="compare")
    if not holds_pairs(TASKS[inputs.task.name], data.columns):
        _require_same_units(against, inputs.bundle)
    judge = judge_of(settings, inputs, run)
    first, second = (
        _answers(bundle, data, settings, inputs=inputs, run=run, judge=judge) for bundle in (against, inputs.bundle)
    )
    task, found = second.task, _differences(first, second, resamples=settings.resamples)
    change = first.scored.badness - second.scored.badness  # above zero where the second is better
    same = None if _without_axes(second) else agreed(task, first.predictions, second.predictions)
    apart = change != 0 if same is None else ~same
    _write(run, first, second, order=np.argsort(change, kind="stable"), apart=apart)
    main = task.main_measure if task.main_measure in found else next(iter(found))
    report = Report(
        stage="compare",
        bundle=inputs.bundle.digest,
        conclusion=_conclusion(main, found[main], task, run.language),
        measures=[*_measures(main, found, second), *([] if same is None else [agreement(same, name="equal_answers")])],
        tables={
            "compared": _compared(found, task, run.language),
            "changed": _changed(first, second, same),
            **{name: grid for name, grid in second.scored.tables.items() if name == "signatures"},
            "rows_lost": _rows(first, second, change, apart=apart & (change < 0), most=settings.worst),
            "rows_gained": _rows(first, second, -change, apart=apart & (change > 0), most=settings.worst),
        },
        warnings=[*left_out_warnings(data, run.language), *_warnings(first, second, run.language)],
        facts={
            "task": task.name,
            "data": settings.on,
            "rows": len(data),
            **settings.facts,
            "first_bundle": against.digest,
        },
    )
    return Outcome(report)


def _differences(first: Answered, second: Answered, *, resamples: int) -> dict[str, Difference]:
    """Of every measure that both have, how far the second is from the first."""
    task = second.task
    found = differences(
        *(Tallied(one.tally, one.task.measures, weighing(one.task)) for one in (first, second)),
        additive=task.additive, exchanged=_counted_alike(first, second), resamples=resamples,
    )  # fmt: skip
    if first.task.tokenizer.digest != task.tokenizer.digest:
        found = _without_tokens(found, task)
    return {**found, **variety_beside(first, second, resamples=resamples)}


def _require_same_units(*bundles: Bundle) -> None:
    """Raise unless measures of written texts, which go by the script of what each learned from, are the same."""
    first, second = (bundle.manifest.task for bundle in bundles)
    script = None if second is None else getattr(TASKS[second.name], "by_script", None)
    if first is None or second is None or script is None:
        return
    units = [record.settings.get(script[0]) for record in (first, second)]
    if None not in units and units[0] != units[1]:
        raise BundleError(
            f"{script[0]} is {units[0]} in the first bundle and {units[1]} in the second: not the same measures",
            expected=f"bundles of one {script[0]}",
            fix="Evaluate each by itself.",
            code="bundle.other-units",
        )


def _without_tokens(found: Mapping[str, Difference], task: Task) -> dict[str, Difference]:
    left = {name: each for name, each in found.items() if not _spec(task, name).of_tokens}
    if not left:
        raise BundleError(
            f"the two bundles read other tokens, and every measure of {task.name} counts in tokens",
            expected="bundles of one tokenizer",
            code="bundle.other-tokens",
        )
    return left


def _answers(
    bundle: Bundle,
    data: Dataset,
    settings: CompareSettings,
    *,
    inputs: Inputs,
    run: Run,
    judge: Predictor | None,
) -> Answered:
    predictor, task = asked(settings, bundle, data, inputs=inputs, run=run)
    (reference,) = inputs.others.get("reference") or (None,)
    return answered(predictor, beside_reference(task, data, reference, run), data, run=run, judge=judge)


def _counted_alike(first: Answered, second: Answered) -> bool:
    """Whether the columns of both tallies mean the same, so that rows of one may stand in the other."""
    one, other = first.task, second.task
    return (
        one.labels == other.labels
        and _known(one) == _known(other)
        and list(one.measure_specs) == list(other.measure_specs)
        and first.tally.shape == second.tally.shape
    )


def _known(task: Task) -> Mapping[str, tuple[str, ...]]:
    return task.known(task.settings, task.labels)


def _spec(task: Task, name: str) -> MeasureSpec:
    return {**VARIETY_SPECS, **task.measure_specs}.get(name, MeasureSpec())


def _measures(main: str, found: Mapping[str, Difference], second: Answered) -> list[Measure]:
    """What the second has over the first by every measure, the main one first."""
    ordered = [main, *(name for name in found if name != main)]
    specs = {name: _spec(second.task, name) for name in ordered}
    counts = {name: rested_on(spec, second.tally) for name, spec in specs.items()}
    return [_difference(name, found[name], specs[name], n=counts[name]) for name in ordered]


def _difference(name: str, found: Difference, spec: MeasureSpec, *, n: int) -> Measure:
    why = "" if found.value is not None else "one of the two has nothing to score"
    return Measure(name=name, value=found.value, low=found.low, high=found.high, reason=why, n=n, unit=spec.unit,
                   better=spec.better, slice="difference")  # fmt: skip


def _compared(found: Mapping[str, Difference], task: Task, language: Language) -> Grid:
    rows: list[list[Cell]] = [
        [name, one.first, one.second, one.value, one.p, word(f"verdict.{_verdict(one, _spec(task, name))}", language)]
        for name, one in found.items()
    ]
    return Grid(columns=["measure", *SIDES, "difference", "p_value", "second_is"], rows=rows, names="words")


def _verdict(found: Difference, spec: MeasureSpec) -> str:
    """``better`` or ``worse`` where the second is told apart from the first, else ``open``; of a measure of which
    neither direction is an improvement ``other``."""
    bounded = found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
    told = found.p < SURE if found.p is not None else bounded
    if not told or not found.value:
        return "open"
    if spec.better is None:
        return "other"
    return "better" if (found.value > 0) == (spec.better == "higher") else "worse"


def _conclusion(main: str, found: Difference, task: Task, language: Language) -> str:
    key = f"conclusion.{_verdict(found, _spec(task, main))}"
    values = " → ".join(_shown(value, _spec(task, main), language) for value in (found.first, found.second))
    chance = "" if found.p is None else f" (p = {found.p:.2g})"
    return word(key, language, measure=word(main, language), values=values, chance=chance)


def _shown(value: float | None, spec: MeasureSpec, language: Language) -> str:
    return NOTHING if value is None else number(value, spec.unit, language=language)


def _without_axes(answers: Answered) -> bool:
    """Whether an answer is the embedding of one text: two models' directions have no common axes, and not always as
    many numbers. The cosine of a pair of texts has the same meaning in both."""
    return answers.task.says == "direction" and "text" in answers.columns


def _changed(first: Answered, second: Answered, same: NDArray[np.bool_] | None) -> Grid:
    """How many rows are right by both, by one, by none; and how many they answer otherwise, where that can be told."""
    had, has = (one.scored.badness <= 0 for one in (first, second))
    counts = {
        "both_right": had & has,
        "only_first_right": had & ~has,
        "only_second_right": ~had & has,
        "both_wrong": ~(had | has),
        **({} if same is None else {"answered_otherwise": ~same}),
    }
    rows: list[list[Cell]] = [[name, int(where.sum())] for name, where in counts.items()]
    return Grid(columns=["answers", "rows"], rows=rows, names="words")


def _rows(
    first: Answered, second: Answered, change: NDArray[np.float64], *, apart: NDArray[np.bool_], most: int
) -> Grid:
    """The rows ``apart`` with the least ``change``: those that only one of the two has right before others."""
    same = (first.scored.badness <= 0) == (second.scored.badness <= 0)
    order = [int(i) for i in np.lexsort((change, same)) if apart[i]][:most]
    rows: list[list[Cell]] = [
        [shortened(column[i], most=TEXT_SHOWN) for column in (second.scored.texts, second.scored.gold,
                                                              first.scored.said, second.scored.said)]
        for i in order
    ]  # fmt: skip
    return Grid(columns=["text", "gold", *SIDES], rows=rows)


def _warnings(first: Answered, second: Answered, language: Language) -> list[str]:
    said = list(dict.fromkeys(each for side in (first, second) for each in unmeasured_warnings(side, language)))
    one, other = first.task, second.task
    had, has = ({*task.labels, *itertools.chain(*_known(task).values())} for task in (one, other))
    if had != has:
        alone = [", ".join(sorted(names)) or NOTHING for names in (had - has, has - had)]
        said.append(word("warn.other_labels", language, first=alone[0], second=alone[1]))
    elif not _counted_alike(first, second):
        said.append(word("warn.other_counts", language))
    if one.tokenizer.digest != other.tokenizer.digest:
        names = [word(name, language) for name, spec in other.measure_specs.items() if spec.of_tokens]
        if names:
            said.append(word("warn.other_tokens", language, names=", ".join(names)))
    return said


def _write(run: Run, first: Answered, second: Answered, *, order: NDArray[np.int64], apart: NDArray[np.bool_]) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    with appearing(run.folder / "differences.jsonl", encoding="utf-8") as file:
        for i in order[apart[order]].tolist():
            row = {name: values[i] for name, values in second.columns.items()}
            row |= {side: one.predictions[i] for side, one in zip(SIDES, (first, second), strict=True)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

"""A learning curve: a recipe run on ever larger parts of what it learns from, measured on the same held-out data, and
what more would bring by the power law that the measures follow."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hone.bundle.stage import NO_TASK
from hone.core.disk import write_atomically
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.core.measures import Measure
from hone.core.progress import Progress, Silent
from hone.metrics.power_law import FEWEST, PowerLaw, fit, predicted
from hone.pipeline.alone import alone_in, require_alone
from hone.pipeline.base import find_base
from hone.pipeline.corpora import read_corpora
from hone.pipeline.recipe import Recipe, load_recipe
from hone.pipeline.run import read_data, run_stages
from hone.report.catalog import Language, word
from hone.report.html import to_html
from hone.report.report import Cell, Grid, Report
from hone.tasks.table import TASKS

TIMES = {"times_2": 2, "times_4": 4}  # what is predicted -> of how many times as much as there is
MOST = {"share": 1.0, "points": 100.0}  # of measures with these units
BOUND = 1.96  # standard errors from a value to the end of its 95% interval


@dataclass(frozen=True)
class Point:
    """What came of one part: its ``share``, how much that is (tokens of a corpus, else rows), and the measure."""

    share: float
    size: int
    measure: Measure


def learning_curve(
    recipe: Path,
    *,
    out: Path,
    points: int = 5,
    measure: str = "",
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Run a recipe on 1, 1/2, 1/4 ... of what it learns from (its own ``train_share``, where it has one), the smallest
    first, each part within the next one.

    Each part is run in a folder of its own in ``out``; one that is done is not run again.

    Args:
        points: How many parts.
        measure: The measure's name, of a probe ``NAME.accuracy`` or ``NAME.spearman``; where empty the main one of the
            last stage that measured.

    Raises:
        HoneError: As `hone.run`; or the measure is none that the stages report.
    """
    told = progress or Silent()
    whole = load_recipe(recipe, overrides=overrides)
    require_alone(out)
    whole, decided = _settled(whole, told)
    with alone_in(out):  # else a second one would remove what the first has not measured yet
        found = []
        for i in reversed(range(points)):
            share = 0.5**i
            learned = whole.options.train_share * share
            part = replace(whole, options=whole.options.model_copy(update={"train_share": learned}))
            folder = out / f"share-{share:g}-{digest_value([decided, share, measure])[:12]}"
            found.append(_point(part, share, measure=measure, folder=folder, progress=told))
            told.say(
                f"{share:g} of the data ({found[-1].size:,}): {found[-1].measure.name} {found[-1].measure.value:.4g}"
            )
        report = curve_report(found, language=whole.language)
        for suffix, text in {".json": report.to_json(), ".html": to_html(report, language=whole.language)}.items():
            write_atomically(out / f"curve{suffix}", text.encode())
        return report


def _settled(recipe: Recipe, progress: Progress) -> tuple[Recipe, str]:
    """The recipe with one base for all parts, for a tokenizer of its own would make the measures of each another thing;
    and a digest of all that decides what comes of it."""
    read, data = read_data(recipe, progress)
    data = data | read_corpora(read, read.stages, progress)[1]
    base = find_base(read, data, progress)
    digests = {name: dataset.digest for name, dataset in data.items()}
    decided = {**recipe.decided(), "base": base.digest, "data": digests}
    settled = recipe if isinstance(recipe.base, str) else replace(recipe, base=str(base.folder))
    return settled, digest_value(decided)


def _point(recipe: Recipe, share: float, *, measure: str, folder: Path, progress: Progress) -> Point:
    kept = folder / "point.json"
    if kept.is_file():
        values = json.loads(kept.read_text(encoding="utf-8"))
        return Point(share, values["size"], Measure.model_validate(values["measure"]))
    shutil.rmtree(folder / "bundle", ignore_errors=True)  # of a run that ended before it was measured
    reports = run_stages(recipe, out=folder, progress=progress).reports
    point = Point(share, _size(reports), _measured(reports, recipe, measure))
    write_atomically(kept, json.dumps({"size": point.size, "measure": point.measure.model_dump()}).encode())
    return point


def _size(reports: Mapping[str, Report]) -> int:
    facts: dict[str, Cell] = {}
    for report in reversed(list(reports.values())):
        facts |= {name: value for name, value in report.facts.items() if name in ("rows", "corpus_tokens")}
    return int(facts.get("corpus_tokens") or facts["rows"] or 0)


def _measured(reports: Mapping[str, Report], recipe: Recipe, name: str) -> Measure:
    """The measure ``name``, or ``SLICE.name``, of the last stage that has it; where empty the task's main one."""
    main = "" if recipe.task is NO_TASK else TASKS[recipe.task.name].main_measure
    every = [one for kind in reversed(list(reports)) if kind != "inspect" for one in reports[kind].measures]
    if name:
        asked = [one for one in every if name in (one.name, f"{one.slice}.{one.name}")]
    else:
        asked = [one for one in every if one.name == main] or every
    if asked and asked[0].value is not None:
        return asked[0]
    raise RecipeError(
        f"a learning curve of {name or main or 'what is measured'}, which no stage has a value of",
        expected=f"one of {', '.join(dict.fromkeys(one.name for one in every if one.value is not None)) or 'none'}",
        fix="Name held-out data, or another measure with --measure; that of a probe is called NAME.accuracy, say.",
        code="curve.no-measure",
    )


def _loss(value: float, measure: Measure) -> float:
    """What falls by a power law: the logarithm of a perplexity, what a share lacks of all, else the value."""
    if "perplexity" in measure.name:
        return math.log(value)
    return value if measure.better == "lower" else MOST[measure.unit] - value


def _value(loss: float, measure: Measure) -> float:
    """The measure of such a loss; of a share none that is none."""
    if "perplexity" in measure.name:
        return math.exp(loss)
    return max(loss, 0.0) if measure.better == "lower" else MOST[measure.unit] - max(loss, 0.0)


def _has_law(measure: Measure) -> bool:
    """Whether it falls toward something: a loss, or what a measure lacks of the most that it can be."""
    return measure.better == "lower" or (measure.better == "higher" and measure.unit in MOST)


def curve_report(points: Sequence[Point], *, language: Language = "en") -> Report:
    """What was measured, the law through it, and what more data would bring. Of fewer than three points no law, nor of
    a measure that is neither a loss nor part of a whole."""
    measure = points[-1].measure
    sizes = np.array([point.size for point in points], dtype=np.float64)
    rows: list[list[Cell]] = [
        [point.size, point.share, point.measure.value, point.measure.low, point.measure.high] for point in points
    ]
    tables = {"curve_points": Grid(columns=["size", "share", "value", "low", "high"], rows=rows)}
    measures = [measure.model_copy(update={"slice": "all_data"})]
    without = Report(stage="curve", measures=measures, tables=tables)
    if not _has_law(measure):
        said = word("warn.no_law_of", language, measure=word(measure.name, language))
        return without.model_copy(update={"warnings": [said]})
    if len(np.unique(sizes)) < FEWEST:
        return without.model_copy(update={"warnings": [word("warn.no_law", language)]})
    losses = np.array([_loss(_known(point.measure), measure) for point in points])
    law = fit(sizes, losses)
    at = sizes[-1] * np.array([*TIMES.values()], dtype=np.float64)
    bounds = predicted(sizes, losses, np.array([_error(point.measure) for point in points]), at=at)
    for i, name in enumerate(TIMES):
        ends = sorted(_value(float(bound), measure) for bound in bounds[:, i])
        told = _value(float(law.at(at[i : i + 1])[0]), measure)
        more = {"value": told, "low": min(ends[0], told), "high": max(ends[1], told), "n": 0}
        measures.append(measure.model_copy(update={**more, "slice": name}))
    tables["learning_curve"] = _drawn(points, law, measure)
    facts: dict[str, Cell] = {"floor": law.floor, "scale": law.scale, "exponent": law.exponent}
    return Report(stage="curve", measures=measures, tables=tables, facts=facts)


def _known(measure: Measure) -> float:
    assert measure.value is not None  # else it had been refused
    return measure.value


def _error(measure: Measure) -> float:
    """The standard error of a loss, by the interval of its measure; nothing where that has none."""
    if measure.low is None or measure.high is None:
        return 0.0
    return abs(_loss(measure.high, measure) - _loss(measure.low, measure)) / (2 * BOUND)


def _drawn(points: Sequence[Point], law: PowerLaw, measure: Measure) -> Grid:
    """What was measured and what the law says, by the logarithm of the size, and of as much more as is predicted."""
    sizes = [*(point.size for point in points), *(points[-1].size * times for times in TIMES.values())]
    told = [_value(float(loss), measure) for loss in law.at(np.array(sizes, dtype=np.float64))]
    measured: list[float | None] = [*(point.measure.value for point in points), *(None for _ in TIMES)]
    rows: list[list[Cell]] = [
        [math.log2(size), one, by_law] for size, one, by_law in zip(sizes, measured, told, strict=True)
    ]
    return Grid(columns=["log2_size", measure.name, "by_law"], rows=rows, show="line")

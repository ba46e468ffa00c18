"""Combinations of compression methods, each made, measured and timed; of those within the budget the best one."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import hone
from hone.bundle.bundle import MANIFEST, Bundle
from hone.bundle.manifest import DataRecord, Lineage
from hone.compress.choices import SearchSettings
from hone.compress.compare import answers, disk_mb, measures, texts_of
from hone.compress.deciding import with_own_decision
from hone.compress.settings import METHODS
from hone.compress.start import Made, Start
from hone.core.choice import opened
from hone.core.errors import BundleError, GateNotMet, RecipeError
from hone.core.measures import Measure
from hone.evaluate.agreement import agreed, agreement
from hone.models.model import Model
from hone.models.onnx import OnnxModel, load_onnx
from hone.predict.engine import engine_of
from hone.predict.formats import ONNX
from hone.predict.predictor import Predictor, open_bundle, open_model, weights_format
from hone.predict.write import write_model
from hone.report.report import Cell, Grid
from hone.tasks.protocol import Prediction, Task

ROUNDS = 3
Chain = tuple[Mapping[str, Any], ...]  # methods one after another, each with its settings


@dataclass
class Candidate:
    """A combination and what became of it.

    Attributes:
        bundle: None where it cannot be had, for ``reason``.
        measure: The task's main measure on the compared rows.
        seconds: Of each text asked alone.
    """

    name: str
    chain: Chain
    bundle: Bundle | None = None
    reason: str = ""
    measure: Measure | None = None
    agreement: float = 1.0
    seconds: list[float] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        """Median milliseconds of one text."""
        return 1e3 * float(np.median(self.seconds))

    @property
    def disk_mb(self) -> float:
        """Size of its bundle, MB."""
        assert self.bundle is not None
        return disk_mb(self.bundle)

    @property
    def quality(self) -> float:
        """Value of the main measure, its negative where less is better; below all others where it has none."""
        assert self.measure is not None
        if self.measure.value is None:
            return -math.inf
        return -self.measure.value if self.measure.better == "lower" else self.measure.value


def search(settings: SearchSettings, start: Start) -> Made:
    """Make every combination as a bundle of its own under the run's folder, where those stay; what an interrupted
    search had finished is taken up.

    Raises:
        GateNotMet: None is within the budget.
    """
    tried = _made(settings, start)
    possible = [each for each in tried if each.bundle is not None]
    _measure(possible, start)
    _time(possible, settings, start)
    chosen = _best(possible[1:], settings)
    assert chosen.bundle is not None
    model, task = _reopened(chosen.bundle)
    failed: list[list[Cell]] = [[each.name, each.reason] for each in tried if each.bundle is None]
    tables = {"candidates": _grid(possible, settings)}
    if failed:
        tables["not_possible"] = Grid(columns=["candidate", "reason"], rows=failed)
    facts: dict[str, int | float | str] = {"chosen": chosen.name, "candidates_tried": len(possible) - 1}
    return Made(model, task, facts, tables, chosen=chosen.chain, decides=True)


def chains(steps: Sequence[Sequence[Mapping[str, Any]]]) -> list[Chain]:
    """Every way of taking one method, or none, of each step, each once; the beginning of a chain stands before it, none
    first."""
    found: list[Chain] = [()]
    for step in steps:
        longer: list[Chain] = [(*chain, method) for chain in found for method in step]
        found += [chain for i, chain in enumerate(longer) if chain not in found and chain not in longer[:i]]
    return found


def names(found: Sequence[Chain], steps: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """Of each chain its methods' names, numbered where the steps have several of one name and other settings: no two
    chains are called alike."""
    methods: list[Mapping[str, Any]] = []
    for method in itertools.chain.from_iterable(steps):
        methods += [] if method in methods else [method]

    def called(method: Mapping[str, Any]) -> str:
        alike = [other for other in methods if other["name"] == method["name"]]
        return f"{method['name']}-{alike.index(method) + 1}" if len(alike) > 1 else str(method["name"])

    return [" + ".join(map(called, chain)) or "parent" for chain in found]


def _made(settings: SearchSettings, start: Start) -> list[Candidate]:
    """Every combination, the bundle itself first."""
    found = chains(settings.steps)
    tried = [Candidate(name, chain) for name, chain in zip(names(found, settings.steps), found, strict=True)]
    tried[0].bundle = start.bundle
    for each in tried[1:]:
        before = next(other for other in tried if other.chain == each.chain[:-1])
        if before.bundle is None:
            each.reason = before.reason
            continue
        start.run.progress.say(f"search: {each.name}")
        try:
            each.bundle = _one(each, before.bundle, start)
        except (RecipeError, BundleError) as error:  # a method that this model or these methods before it rule out
            each.reason = error.found
    return tried


def _one(candidate: Candidate, before: Bundle, start: Start) -> Bundle:
    """The last method of a chain over the bundle that the ones before it made; it decides by what is best for its own
    scores, as the one that is chosen will."""
    folder = start.run.folder / "search" / candidate.name.replace(" ", "")
    settings = {"method": dict(candidate.chain[-1])}
    lineage = Lineage(
        parents=(before.digest,),
        stage="compress",
        recipe={"stage": "compress", "settings": settings, "seed": start.run.seed},
        recipe_digest="",
        data=tuple(DataRecord(role=name, digest=data.digest, rows=len(data)) for name, data in start.data.items()),
        seed=start.run.seed,
        hone=hone.__version__,
    )
    done = _finished(folder / "bundle", lineage)
    if done is not None:
        return done
    method, chosen = opened(candidate.chain[-1], METHODS)
    model, task = open_model(before)
    run = replace(start.run, folder=folder, target=folder / "bundle")
    made: Made = method.run(chosen, replace(start, bundle=before, model=model, task=task, run=run))
    made = with_own_decision(made, engine_of(made.model, device=start.measured_on), start.data, cache=run.cache)
    return write_model(run.target, made.model, made.task, lineage=lineage)


def _finished(path: Path, lineage: Lineage) -> Bundle | None:
    """The bundle that an earlier search made the same way, or None."""
    if not (path / MANIFEST).is_file():
        return None
    try:
        bundle = Bundle.open(path)
    except BundleError:
        return None
    return bundle if bundle.manifest.lineage == lineage else None


def _measure(possible: Sequence[Candidate], start: Start) -> None:
    """Quality and agreement of each on the compared rows."""
    compared = start.data[start.on]
    columns = compared.slice(0, len(compared))
    said: list[Prediction] = []
    for each in possible:
        predictor = _open(each, start)
        now = answers(predictor, columns)
        said = said or now
        found = {measure.name: measure for measure in measures(start.task, now, columns)}
        each.measure = found[start.task.main_measure]
        each.agreement = agreement(agreed(start.task, said, now)).value or 0.0


def _time(possible: Sequence[Candidate], settings: SearchSettings, start: Start) -> None:
    """Seconds of each text alone; in rounds, one candidate in memory at a time."""
    compared = start.data[start.on]
    texts = texts_of(start.task, compared.slice(0, len(compared)), most=settings.timed_texts)
    start.run.progress.begin("timing", total=ROUNDS * len(possible), unit="bundle")
    for turn in range(ROUNDS):
        for each in possible if turn % 2 == 0 else possible[::-1]:
            predictor = _open(each, start)
            predictor.predict(texts[:3])
            for text in texts:
                began = time.perf_counter()
                predictor.predict([text])
                each.seconds.append(time.perf_counter() - began)
            start.run.progress.advance(1)
    start.run.progress.finish()


def _open(candidate: Candidate, start: Start) -> Predictor:
    assert candidate.bundle is not None
    return open_bundle(candidate.bundle, device=start.measured_on)


def _reopened(bundle: Bundle) -> tuple[Model | OnnxModel, Task]:
    """Model and task of a candidate, as a method gives them back."""
    if weights_format(bundle) == ONNX:
        return load_onnx(bundle.path), open_bundle(bundle).task
    return open_model(bundle)


def _within(candidate: Candidate, settings: SearchSettings) -> bool:
    fast = settings.max_latency_ms is None or candidate.p50_ms <= settings.max_latency_ms
    small = settings.max_size_mb is None or candidate.disk_mb <= settings.max_size_mb
    return fast and small


def _best(compressed: Sequence[Candidate], settings: SearchSettings) -> Candidate:
    """Of those within the budget the one of the best main measure; of equals the fastest.

    Raises:
        GateNotMet: There is none.
    """
    within = [each for each in compressed if _within(each, settings)]
    if within:
        return max(within, key=lambda each: (each.quality, -each.p50_ms))
    budget = [
        f"{limit:g} {unit}"
        for limit, unit in ((settings.max_latency_ms, "ms a text"), (settings.max_size_mb, "MB"))
        if limit is not None
    ]
    told = "; ".join(f"{each.name}: {each.p50_ms:.3g} ms, {each.disk_mb:.3g} MB" for each in compressed)
    raise GateNotMet(
        f"none of the combinations is within the budget: {told or 'none could be made'}",
        expected=" and ".join(budget),
        fix="Raise the budget, or name other steps. No bundle was written.",
        code="compress.no-candidate",
    )


def _grid(possible: Sequence[Candidate], settings: SearchSettings) -> Grid:
    rows: list[list[Cell]] = []
    for i, each in enumerate(possible):
        assert each.measure is not None
        name = each.measure.name
        quality = [each.measure.value, each.measure.low, each.measure.high]
        rows.append([f"{i} {each.name}", each.p50_ms, each.disk_mb, *quality, each.agreement, _within(each, settings)])
    columns = ["candidate", "p50_ms", "disk_mb", name, "low", "high", "agreement", "within_budget"]
    assert possible[0].measure is not None
    return Grid(columns=columns, rows=rows, show="pareto", better=possible[0].measure.better or "higher")

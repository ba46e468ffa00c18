"""The stage ``prefer``: a bundle that writes learns from pairs of texts which of two is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.core.measures import Measure
from hone.data.dataset import Dataset
from hone.metrics.intervals import with_intervals
from hone.models.adapters.held_base import hold
from hone.models.model import Model
from hone.predict.bases import place_of
from hone.predict.batching import score_rows
from hone.predict.engine import Engine, TorchEngine
from hone.predict.predictor import open_model
from hone.predict.references import reference_of
from hone.predict.write import write_model
from hone.report.report import Report
from hone.tasks.cut import unseen_said
from hone.tasks.encoded import encoded
from hone.tasks.fields import PAIRS, VALIDATION_PAIRS
from hone.tasks.pairs import Pairs
from hone.tasks.protocol import FloatArray, LossOptions, Task
from hone.tasks.rows import Rows
from hone.tasks.written import WrittenText
from hone.train.finetune import ready, run_loop, start_of, training_facts, tune
from hone.train.log_plots import training_plots
from hone.train.loop import Setup, Trained
from hone.train.measured import Measured
from hone.train.prefer_faults import base_of, find_faults
from hone.train.prefer_settings import PreferSettings
from hone.train.preferred import Preferred
from hone.train.processes import Processes
from hone.train.rounded import InTraining
from hone.train.watch import places_in


@dataclass(frozen=True)
class Part:
    """A data set of pairs, and what the parent says of it.

    Attributes:
        reference: Its log-probabilities of both texts of each row, float64 [rows, 2].
    """

    data: Dataset
    rows: Rows
    reference: FloatArray


def prefer(settings: PreferSettings, inputs: Inputs, run: Run) -> Outcome:
    """Train on ``pairs``, choose by ``validation_pairs``, write a bundle of the same task to ``run.target``.

    The reference is the bundle that training starts from. What it says of every pair is asked once, before anything of
    the model changes, and kept in the cache: no second model is in memory.

    Raises:
        RecipeError, DataError, BundleError: What is asked for cannot be had.
    """
    faults = find_faults(settings, inputs)
    if faults:
        raise RecipeError.of(faults, what="prefer")
    device = ready(settings, run)
    _, parent = start_of(inputs)
    assert parent is not None  # the stage needs one
    torch.manual_seed(run.seed)
    model, task = open_model(parent, dropout=settings.dropout)
    if settings.base_bits is not None:  # the reference too: what it says is compared with what is learned over it
        hold(model, settings.base_bits)
    assert isinstance(task, WrittenText)  # `Stage.writes`
    pairs = Pairs(task)
    ask = partial(reference_of, pairs, bundle=parent, cache=run.cache, progress=run.progress)
    parts = {}
    for name, data in inputs.data.items():
        precision = settings.mixed_precision if name == PAIRS else "no"  # what is held back is measured in float32
        engine = InTraining(model, device, precision)
        with Processes(run.place).in_turn():  # the reference is asked once
            said = ask(data, engine=engine, device=engine.named)
            parts[name] = Part(data, encoded(cast(Task, pairs), data, cache=run.cache), said)
    unseen = unseen_said(parts[PAIRS].rows, PAIRS, run.language)
    for sentence in unseen:
        run.progress.say(sentence)
    tune(model, settings)
    recipe = {"stage": "prefer", "settings": settings.model_dump(mode="json"), "seed": run.seed,
              "task": {"name": task.name, "settings": task.settings.model_dump(mode="json")}}  # fmt: skip
    setup = _setup(settings, pairs, parts, recipe=recipe, parent=parent, run=run, device=device)
    train = parts[PAIRS]
    learning = cast(Task, Preferred(pairs, settings, train.reference))
    trained = run_loop(model, learning, train.rows, setup=setup, run=run, device=device)
    measures = _measured(pairs, TorchEngine(model, device), parts)
    lineage = inputs.lineage("prefer", parents=[parent.digest], recipe=recipe, seed=run.seed)
    bundle = write_model(run.target, model, task, lineage=lineage, base=base_of(parent))
    kept = {} if model.tuning is None else place_of(base_of(parent), bundle=bundle.digest)
    report = _report(bundle, trained, setup=setup, parts=parts, measures=measures)
    return Outcome(report.model_copy(update={"warnings": unseen}), bundle, kept)


def tallied(pairs: Pairs, engine: Engine, part: Part) -> tuple[Pairs, FloatArray]:
    """The task over ``part`` beside what the parent said of it, and the tally of what ``engine`` says."""
    beside = pairs.against(part.reference)
    scores = score_rows(cast(Task, beside), engine, part.rows)
    predictions = beside.join({}, part.rows, scores, constants=engine.constants)
    return beside, beside.tally(predictions, {})


def _setup(
    settings: PreferSettings,
    pairs: Pairs,
    parts: Mapping[str, Part],
    *,
    recipe: Mapping[str, Any],
    parent: Bundle,
    run: Run,
    device: torch.device,
) -> Setup:
    watched = settings.metric_for_best_model or "preference_accuracy"
    data = {name: part.data.digest for name, part in parts.items()}
    held = parts.get(VALIDATION_PAIRS)

    def validate(model: Model) -> dict[str, float | None]:
        assert held is not None
        beside, tally = tallied(pairs, Measured(model, device), held)
        return beside.measures(tally)

    return Setup(
        settings=settings,
        seed=run.seed,
        identity=digest_value({"recipe": dict(recipe), "data": data, "parent": parent.digest, "device": device.type}),
        checkpoints=run.folder / "checkpoints",
        options=LossOptions(),
        validate=None if held is None else validate,
        parallel=settings.parallel,
        place=places_in(parts[PAIRS].data),
        watched=watched,
        higher_is_better=Pairs.measure_specs[watched].better != "lower",
    )


def _measured(pairs: Pairs, engine: Engine, parts: Mapping[str, Part]) -> list[Measure]:
    """What became of the pairs to choose by, with intervals; nothing where there are none."""
    held = parts.get(VALIDATION_PAIRS)
    if held is None:
        return []
    beside, tally = tallied(pairs, engine, held)
    return with_intervals(
        tally, beside.measures, specs=beside.measure_specs, additive=beside.additive, slice=VALIDATION_PAIRS
    )


def _report(
    bundle: Bundle, trained: Trained, *, setup: Setup, parts: Mapping[str, Part], measures: list[Measure]
) -> Report:
    settings = cast(PreferSettings, setup.settings)
    return Report(
        stage="prefer",
        bundle=bundle.digest,
        measures=measures,
        tables=training_plots(trained, setup),
        facts={"rows": len(parts[PAIRS].data), "loss": settings.loss["name"], **training_facts(trained, settings)},
    )

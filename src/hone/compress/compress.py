"""The stage ``compress``: a bundle becomes a smaller or faster one, and what that cost is told beside its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.bench.bench import bench
from hone.bench.systems import Hone
from hone.bundle.bundle import Bundle
from hone.bundle.members import members_of
from hone.bundle.stage import Inputs, Outcome, Run
from hone.compress.compare import answers, disk_mb, measures, texts_of, token_agreement, values, writes
from hone.compress.deciding import undecided, with_own_decision
from hone.compress.settings import METHODS, CompressSettings, Method, measured_on
from hone.compress.start import Made, Start
from hone.compress.writing_speed import written_speed
from hone.core.choice import opened
from hone.core.errors import BundleError, GateNotMet, RecipeError
from hone.core.measures import Measure
from hone.data.dataset import Dataset
from hone.evaluate.agreement import agreed, agreement
from hone.predict.bases import how_to_make_whole
from hone.predict.engine import engine_of
from hone.predict.formats import ADAPTERS, MEMBERS, SAFETENSORS, SHAPED
from hone.predict.predictor import Predictor, open_bundle, open_model, weights_format
from hone.predict.write import write_model
from hone.report.report import Cell, Grid, Report
from hone.tasks.fields import inputs_in
from hone.tasks.protocol import Prediction, Task, Writing

EXACT = 0.99  # of the answers of a method that changes none: rounding may decide a tie
TIMED_TEXTS = 500
TIMINGS = 6


def compress(settings: CompressSettings, inputs: Inputs, run: Run) -> Outcome:
    """Compress ``inputs.bundle`` by the method of ``settings`` into a new bundle at ``run.target``.

    Raises:
        RecipeError: There is no such split, or the method cannot be had with this bundle.
        BundleError: The bundle is an adapter beside a base.
        GateNotMet: The result lost more than ``max_drop``, or answers too often otherwise; nothing is written then.
    """
    bundle, compared = _given(settings, inputs)
    parent = open_bundle(bundle, device=measured_on(settings.method, run.device))
    device = parent.engine.device.type
    made = _made(settings, parent, inputs, run)
    engine = engine_of(made.model, device=device)
    made = with_own_decision(made, engine, inputs.data, cache=run.cache)
    child = Predictor(bundle, made.task, engine)
    columns = compared.slice(0, len(compared))
    before, after = answers(parent, columns), answers(child, columns)
    _refuse_loss(settings, parent.task, before, after, columns)
    same = [agreement(agreed(parent.task, before, after))]
    _refuse_others(settings, same[0], exact=made.exact)
    asked = {"stage": "compress", "settings": settings.model_dump(mode="json"), "seed": run.seed}
    recipe = {**asked, "chosen": list(made.chosen)} if made.chosen else asked
    lineage = inputs.lineage("compress", parents=[bundle.digest], recipe=recipe, seed=run.seed)
    written = write_model(run.target, made.model, made.task, lineage=lineage)
    child = open_bundle(written, device=device)
    had, has = (measures(parent.task, each, columns) for each in (before, after))
    if writes(parent.task, before):
        same.append(token_agreement(parent.task, before, after))
    beside, faster = _beside(parent, child, columns)
    return Outcome(
        Report(
            stage="compress",
            bundle=written.digest,
            measures=[*has, *same, *faster],
            tables={
                "beside_parent": beside,
                "measures_beside_parent": _both(had, has),
                **made.tables,
            },
            warnings=undecided(parent.task, made.task, run.language),
            facts={
                "method": settings.method["name"],
                "data": settings.on,
                "rows": len(compared),
                "device": device,
                **made.facts,
            },
        ),
        written,
    )


def _given(settings: CompressSettings, inputs: Inputs) -> tuple[Bundle, Dataset]:
    assert inputs.bundle is not None
    if weights_format(inputs.bundle) in ADAPTERS:
        raise BundleError(
            f"the bundle {inputs.bundle.path} is an adapter beside a base, whose weights are not its own",
            expected="a bundle with the whole model",
            fix=how_to_make_whole(inputs.bundle),
            code="bundle.weights-format",
        )
    return inputs.bundle, inputs.split(settings.on, stage="compress")


def _made(settings: CompressSettings, parent: Predictor, inputs: Inputs, run: Run) -> Made:
    bundle = parent.bundle
    method, chosen = opened(settings.method, METHODS)
    device = parent.engine.device.type
    if weights_format(bundle) != MEMBERS:
        model, task = open_model(bundle)
        start = Start(bundle, model, task, inputs.data, run, on=settings.on, measured_on=device)
    else:
        model, _ = open_model(_first_that_learns(bundle, method))
        start = Start(
            bundle, model, parent.task, inputs.data, run, on=settings.on, measured_on=device, teacher=parent.engine
        )
    made: Made = method.run(chosen, start)
    return made


def _first_that_learns(ensemble: Bundle, method: Method) -> Bundle:
    """The member that a student of an ensemble begins as."""
    if not method.teaches:
        raise RecipeError(
            f"{method.name} of {ensemble.path}, an ensemble, which has no weights of its own",
            expected=f"one of {', '.join(name for name in METHODS if METHODS[name].teaches)}",
            fix="Distill it first, and compress the student.",
            code="compress.ensemble",
        )
    found = next((one for one in members_of(ensemble) if weights_format(one) in (SAFETENSORS, SHAPED)), None)
    if found is None:
        raise RecipeError(
            f"{method.name} of {ensemble.path}, none of whose members has float32 weights of its own",
            expected="one that has, for the student begins as it",
            code="compress.ensemble",
        )
    return found


def _refuse_loss(
    settings: CompressSettings,
    task: Task,
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    columns: Mapping[str, Sequence[Any]],
) -> None:
    if settings.max_drop is None:
        return
    name = task.main_measure
    had, has = (values(task, each, columns)[name] for each in (before, after))
    sign = -1 if task.measure_specs[name].better == "lower" else 1
    if had is not None and (has is None or sign * (had - has) > settings.max_drop):
        now = "nothing" if has is None else f"{has:.4f}"
        raise GateNotMet(
            f"{settings.method['name']} brought {name} on {settings.on} from {had:.4f} to {now}",
            expected=f"a drop of at most {settings.max_drop:g}",
            fix="Compress less, or raise max_drop. No bundle was written.",
            code="compress.lost",
        )


def _refuse_others(settings: CompressSettings, same: Measure, *, exact: bool) -> None:
    """Refuse what answers otherwise oftener than it may."""
    least = settings.min_agreement if settings.min_agreement is not None else EXACT if exact else 0.0
    if same.value is None or same.value >= least:
        return
    name = settings.method["name"]
    lower = "Compress less, or lower min_agreement."
    raise GateNotMet(
        f"{name} left {same.value:.2%} of the {same.n} answers on {settings.on} as they were",
        expected=f"{least:.2%} at least" + ("" if settings.min_agreement is not None else f", for {name} changes none"),
        fix=f"{lower if not exact else 'Lower min_agreement if that will do.'} No bundle was written.",
        code="compress.disagrees",
    )


def _beside(parent: Predictor, child: Predictor, columns: Mapping[str, Sequence[Any]]) -> tuple[Grid, list[Measure]]:
    """Size and speed of both, the speed timed in alternation; and of what is written how many times as fast it is."""
    if isinstance(parent.task, Writing):
        timed, faster = written_speed(parent, child, columns) if inputs_in(parent.task, columns) else ([], [])
    else:
        timed, faster = _timed(parent, child, columns), []
    rows: list[list[Cell]] = [
        ["disk_mb", disk_mb(parent.bundle), disk_mb(child.bundle)],
        ["weights_mb", *(one.engine.weights_bytes / 1e6 for one in (parent, child))],
        *timed,
    ]
    for row in rows:
        had, has = row[1], row[2]
        assert isinstance(had, float)
        assert isinstance(has, float)
        row.append(has / had)
    return Grid(columns=["what", "parent", "compressed", "ratio"], rows=rows, names="words"), faster


def _timed(parent: Predictor, child: Predictor, columns: Mapping[str, Sequence[Any]]) -> list[list[Cell]]:
    texts = texts_of(parent.task, columns, most=TIMED_TEXTS)
    systems = (Hone(parent, name="parent"), Hone(child, name="compressed"))
    speed = bench(child, systems, texts, repeats=TIMINGS).tables["speed"]
    timed = {"texts_per_s": "texts_per_s", "latency_p50": "p50_ms", "latency_p99": "p99_ms"}
    return [[name, *(row[speed.columns.index(column)] for row in speed.rows)] for name, column in timed.items()]


def _both(before: Sequence[Measure], after: Sequence[Measure]) -> Grid:
    rows: list[list[Cell]] = [
        [one.name, one.value, one.low, one.high, other.value, other.low, other.high]
        for one, other in zip(before, after, strict=True)
    ]
    columns = ["measure", "parent", "parent_low", "parent_high", "compressed", "low", "high"]
    return Grid(columns=columns, rows=rows, names="words")

"""The stage ``finetune``: a base model and labeled rows become a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from hone.bundle.bundle import MANIFEST, Bundle
from hone.bundle.stage import Inputs, Outcome, Run
from hone.core import memory
from hone.core.choice import opened
from hone.core.errors import BundleError, DeviceError, RecipeError
from hone.core.lineage import digest_value
from hone.core.measures import Measure
from hone.data.checks import require_known, require_teachable, single_labels
from hone.data.dataset import Dataset
from hone.data.passes import Passes
from hone.models.adapters.held_base import hold
from hone.models.adapters.table import METHODS
from hone.models.base import Base
from hone.models.heads import HeadSpec
from hone.models.model import HEAD_FILE, Model, build_model
from hone.predict.bases import how_to_make_whole, place_of
from hone.predict.decide import decided_measures, with_decision
from hone.predict.device import pick_device
from hone.predict.engine import TorchEngine
from hone.predict.formats import ADAPTERS, SAFETENSORS, SHAPED
from hone.predict.predictor import weights_format
from hone.predict.write import write_model
from hone.report.catalog import word
from hone.report.report import Cell, Report
from hone.tasks.cut import unseen_said
from hone.tasks.encoded import encoded, encoding_key
from hone.tasks.fields import shape_of
from hone.tasks.make import make_task
from hone.tasks.objectives.joint import Joint
from hone.tasks.protocol import Objective, Task, Writing, draws
from hone.tasks.rows import Rows
from hone.tasks.sampling import by_label, drawn_examples
from hone.tasks.table import TASKS
from hone.train.checkpoint import latest_checkpoint
from hone.train.faults import find_faults
from hone.train.frozen import FrozenStates, frozen_states
from hone.train.jointly import jointly, learning_of, others_of
from hone.train.label_weights import loss_options
from hone.train.log_plots import training_plots
from hone.train.loop import Loop, Setup, Trained, Validate
from hone.train.measured import Measured
from hone.train.measuring import main_measure
from hone.train.mining import mines, with_negatives
from hone.train.primitives import keep_few_primitives
from hone.train.probe import fit_head
from hone.train.processes import Processes, Released
from hone.train.settings import FinetuneSettings, LoopSettings
from hone.train.sharing import resumed, same
from hone.train.trackers import RunLog, Unlogged, require_trackers
from hone.train.watch import places_in


@dataclass(frozen=True)
class Ready:
    """What a training is of, all there but for the loop.

    Attributes:
        inputs: With mined negatives among the training rows, where the task asks for them.
        before: The bundle that training starts from; None where it starts from a base.
    """

    settings: FinetuneSettings
    inputs: Inputs
    run: Run
    device: torch.device
    base: Base
    before: Bundle | None
    model: Model
    task: Task
    rows: Rows


def finetune(settings: FinetuneSettings, inputs: Inputs, run: Run) -> Outcome:
    """Train on ``train``, choose by ``validation``, write a bundle to ``run.target``."""
    faults = find_faults(settings, inputs)
    if faults:
        raise RecipeError.of(faults, what="finetune")
    device = ready(settings, run)
    base, before = start_of(inputs)
    task = _task(inputs, base, inputs.data["train"])
    torch.manual_seed(run.seed)
    learning = learning_of(settings, base.folder, inputs, max_tokens=task.max_tokens)
    model = _model(settings, task, base=base, before=before, others=others_of(learning))
    taught = _with_negatives(inputs, task, model, run=run, device=device)
    with Processes(run.place).in_turn():
        rows = encoded(task, taught.data["train"], cache=run.cache)
    unseen = unseen_said(rows, "train", run.language)
    for sentence in unseen:
        run.progress.say(sentence)
    # The loop may resume a checkpoint of this very work and of nothing else.
    recipe = {"stage": "finetune", "settings": settings.model_dump(mode="json"), "seed": run.seed,
              "task": {"name": task.name, "settings": task.settings.model_dump(mode="json")},
              **({} if base.made is None else {"base": base.made})}  # fmt: skip
    data = {name: dataset.digest for name, dataset in inputs.data.items()}
    learned = jointly(task, learning, settings=settings, inputs=inputs, run=run)
    drawn = learned.decided if isinstance(learned, Joint) else {}
    identity = digest_value({"recipe": recipe, "data": data, "base": base.digest, "device": device.type, **drawn})
    setup = _setup(Ready(settings, taught, run, device, base, before, model, task, rows), identity=identity)
    setup = replace(setup, place=places_in(inputs.data["train"]))  # mined negatives have no file
    trained = run_loop(model, learned, rows, setup=setup, run=run, device=device)
    if learning is not None:
        model.shed()
    if "validation" in inputs.data:
        task = with_decision(task, TorchEngine(model, device), inputs.data["validation"], cache=run.cache)
    lineage = inputs.lineage("finetune", parents=[base.digest], recipe=recipe, seed=run.seed)
    bundle = write_model(run.target, model, task, lineage=lineage, base=base)
    kept = {} if model.tuning is None else place_of(base, bundle=bundle.digest)
    report = _report(bundle, task, trained, setup=setup, inputs=inputs, run=run)
    return Outcome(report.model_copy(update={"warnings": [*unseen, *report.warnings]}), bundle, kept)


def _setup(of: Ready, *, identity: str) -> Setup:
    """What the loop is given; the model is made ready for its method, and its new head fitted where that is asked."""
    settings, task = of.settings, of.task
    watched = settings.metric_for_best_model or main_measure(task, of.inputs.data.get("validation"))
    passes, counted = _sampled(of), of.inputs.data["train"]
    if passes is not None:  # rare labels that come oftener already want less weight
        counted = counted.take(drawn_examples(passes, of.rows))
    options = loss_options(settings, task, train=counted, device=of.device)
    begun = latest_checkpoint(of.run.folder / "checkpoints", identity=identity) is not None
    tune(of.model, settings)
    frozen = _frozen(of)
    if settings.head_init == "probe" and not begun and _head_of(of.before, task) is None:
        fit_head(of.model, task, of.rows, seed=of.run.seed, options=options, progress=of.run.progress,
                 device=of.device, frozen=frozen)  # fmt: skip
    return Setup(
        passes=passes,
        parallel=settings.parallel,
        frozen=frozen,
        settings=settings,
        seed=of.run.seed,
        identity=identity,
        checkpoints=of.run.folder / "checkpoints",
        options=options,
        validate=_validator(task, of.inputs.data.get("validation"), of.run, device=of.device, watched=watched),
        watched=watched,
        higher_is_better=task.measure_specs[watched].better != "lower",
    )


def _model(
    settings: FinetuneSettings, task: Task, *, base: Base, before: Bundle | None, others: Mapping[str, HeadSpec]
) -> Model:
    """The base with the heads that are to learn, its layers in as many bits as they are to be held in."""
    head = _head_of(before, task)
    model = build_model(base.folder, task.head, dropout=settings.dropout, head_from=head, others=others)
    if before is not None and before.manifest.task is not None and before.manifest.task.labels != task.labels:
        _renew_own_head(model)
    if settings.base_bits is not None:
        hold(model, settings.base_bits)
    return model


def tune(model: Model, settings: FinetuneSettings) -> None:
    """Make the model ready for the method of ``settings``: what that adds is in it, what is to stay does not learn."""
    method, chosen = opened(settings.method, METHODS)
    chosen = method.decided(chosen, model)
    method.attach(model, chosen)
    if method.adapter:
        model.tuning = (method.name, chosen)


def _sampled(of: Ready) -> Passes | None:
    """Which rows an epoch has, where those of rare labels come oftener."""
    chosen, train = of.settings.sampling, of.inputs.data["train"]
    if chosen is None:
        return None
    target = shape_of(of.task, train.columns).targets[0]
    return by_label(of.rows, train, target, power=chosen.power, most=chosen.max_repeats, seed=of.run.seed)


def _with_negatives(inputs: Inputs, task: Task, model: Model, *, run: Run, device: torch.device) -> Inputs:
    """``inputs`` with mined negatives in the training rows, where the task asks for them."""
    if not mines(task):
        return inputs
    train = with_negatives(inputs.data["train"], task, model, progress=run.progress, device=device)
    return replace(inputs, data={**inputs.data, "train": train})


def _frozen(of: Ready) -> FrozenStates | None:
    """Freeze the layers that the settings name; on a CPU, what they give for the training rows."""
    layers = frozen_layers(of.settings, of.model)
    if not layers:
        return None
    of.model.freeze(layers)
    if of.device.type != "cpu" or of.settings.mixed_precision != "no" or draws(of.task, of.rows):
        return None
    told = {"base": of.base.digest, "rows": encoding_key(of.task, of.inputs.data["train"]), "layers": layers}
    with Processes(of.run.place).in_turn():
        return frozen_states(
            of.model, of.task, of.rows, cache=of.run.cache, key=digest_value(told), progress=of.run.progress
        )


def frozen_layers(settings: FinetuneSettings, model: Model) -> int:
    """How many of the lowest layers learn nothing and have states to keep: as the method or the recipe says; none of a
    base whose layers are not known here."""
    if model.encoder is None:
        return settings.freeze_layers
    method, chosen = opened(settings.method, METHODS)
    said: int | None = method.frozen(chosen, len(model.encoder.layer))
    return settings.freeze_layers if said is None else said


def _task(inputs: Inputs, base: Base, train: Dataset) -> Task:
    kind = TASKS[inputs.task.name]
    targets = shape_of(kind, train.columns).targets
    for target in targets:
        require_teachable(train, target)
    labels = kind.labels_in({name: train.distinct(name) for name in train.having(targets)})
    settings = kind.settled(inputs.task.settings, train)
    for name, other in inputs.data.items():
        if name == "validation":
            known, chosen = kind.known(settings, labels), hasattr(settings, "labels")
            require_known(known, other, chosen=chosen, named=kind.named(inputs.task.settings))
    return make_task(inputs.task.name, settings, labels=labels, folder=base.folder)


def start_of(inputs: Inputs) -> tuple[Base, Bundle | None]:
    """What training starts from: the bundle of the stage before, else the base; verified where it is a bundle."""
    before = inputs.bundle
    if before is None and inputs.base is None:
        raise RecipeError("finetune was given no base model", fix="Name one: base: minilm", code="recipe.no-base")
    if before is None and inputs.base is not None and (inputs.base.folder / MANIFEST).is_file():
        before = Bundle.open(inputs.base.folder)
    if before is not None and weights_format(before) not in (SAFETENSORS, SHAPED):
        raise BundleError(
            f"the bundle {before.path} has weights written as {weights_format(before)}, which cannot learn",
            expected="a bundle with float32 weights",
            fix=(
                how_to_make_whole(before)
                if weights_format(before) in ADAPTERS
                else "Fine-tune the bundle it was made from, then compress again."
            ),
            code="bundle.weights-format",
        )
    if before is not None:
        return Base(before.path.name, before.path, before.digest), before
    assert inputs.base is not None
    return inputs.base, None


def _head_of(before: Bundle | None, task: Task) -> Path | None:
    """The head file to go on from: that of the bundle training starts from, where kind, settings and labels agree."""
    if before is None or before.manifest.task is None or before.manifest.task.labels != task.labels:
        return None
    same = any(
        part.role == "head" and part.name == task.head.kind and part.settings == dict(task.head.settings) and part.files
        for part in before.manifest.parts
    )
    return before.path / HEAD_FILE if same else None


def _renew_own_head(model: Model) -> None:
    """Initialize a head of transformers' own anew: other labels, though as many, are not what the old one learned."""
    backbone: Any = model.backbone
    if model.head.gives != "logits":
        return
    for name, child in backbone.named_children():
        if name != backbone.base_model_prefix:
            for module in child.modules():
                if isinstance(module, torch.nn.Linear) and module.weight is not backbone.get_input_embeddings().weight:
                    torch.nn.init.normal_(module.weight, std=0.02)
                    if module.bias is not None:
                        torch.nn.init.zeros_(module.bias)
                elif isinstance(module, torch.nn.LayerNorm):
                    module.reset_parameters()


def ready(settings: LoopSettings, run: Run) -> torch.device:
    """Make the process ready for a training, and say where it runs.

    Raises:
        MissingExtra, DeviceError: A tracker is not installed, or the device does not compute in what is asked for.
    """
    keep_few_primitives()
    memory.keep()
    require_trackers(settings.report_to)
    device = pick_device(run.device)
    require_precision(settings.mixed_precision, device)
    return device


def require_precision(precision: str, device: torch.device) -> None:
    """Raise `DeviceError` unless ``device`` computes in ``precision``."""
    if precision == "no":
        return
    if device.type == "cpu":
        has = precision == "bf16" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    elif device.type == "cuda":
        has = precision == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = precision == "fp16"
    if not has:
        raise DeviceError(
            f"mixed_precision {precision!r} is not to be had on this {device.type}",
            expected="hardware that computes in it",
            fix="Set mixed_precision to 'no', or train on a device that has it.",
            code="device.precision",
        )


def _validator(
    task: Task, validation: Dataset | None, run: Run, *, device: torch.device, watched: str
) -> Validate | None:
    """What measures a model, where there is a validation split; of a task that writes nothing is written where the
    measure that is watched needs none."""
    if validation is None:
        return None
    with Processes(run.place).in_turn():
        rows = encoded(task, validation, cache=run.cache)
    asked = task.silent() if isinstance(task, Writing) and watched in task.reference_measures else task

    def validate(model: Model) -> dict[str, float | None]:
        return decided_measures(asked, Measured(model, device), rows, validation)

    return validate


def run_loop(model: Model, task: Objective, rows: Rows, *, setup: Setup, run: Run, device: torch.device) -> Trained:
    """Train ``model`` on ``rows``, from a checkpoint of this very work where there is one, with log and trackers.

    Raises:
        Released: This is one of several processes, and not the first: it has done its share.
    """
    AcceleratorState._reset_state(reset_partial_state=True)  # a process may train twice, with other settings
    settings, abreast = setup.settings, 1 if setup.parallel is None else setup.parallel.tensor
    processes = Processes(run.place, abreast=abreast)
    trackers = list(settings.report_to) if processes.first else []
    accelerator = Accelerator(
        mixed_precision=settings.mixed_precision,
        cpu=device.type == "cpu",
        log_with=trackers or None,
        project_dir=str(run.folder),
    )
    assert PartialState().num_processes == 1  # the loop itself shares the work
    same(processes, identity=setup.identity, model=model)
    loop = Loop(model, task, rows, setup=replace(setup, processes=processes), accelerator=accelerator)
    resumed_at = resumed(loop, run.progress)
    log = Unlogged() if not processes.first else RunLog(
        run.folder, accelerator=accelerator, trackers=trackers, config=settings.model_dump(), resumed_at=resumed_at
    )  # fmt: skip
    try:
        trained = loop.run(log=log, progress=run.progress, resumed_at=resumed_at)
    finally:
        log.close()
    if not processes.first:
        raise Released
    return trained


def _report(bundle: Bundle, task: Task, trained: Trained, *, setup: Setup, inputs: Inputs, run: Run) -> Report:
    position, spec = trained.position, task.measure_specs[setup.watched]
    measures = []
    if position.best is not None:
        rows = len(inputs.data["validation"])
        measures.append(
            Measure(
                name=setup.watched, value=position.best, n=rows, unit=spec.unit, better=spec.better, slice="validation"
            )
        )
    alone = single_labels(inputs.data["train"]) if task.says == "direction" else 0
    return Report(
        stage="finetune",
        bundle=bundle.digest,
        measures=measures,
        tables=training_plots(trained, setup),
        warnings=[word("warn.single_labels", run.language, count=f"{alone:,}")] if alone else [],
        facts={"rows": len(inputs.data["train"]), **training_facts(trained, setup.settings)},
    )


def training_facts(trained: Trained, settings: LoopSettings) -> dict[str, Cell]:
    """What a report says of how training went."""
    position = trained.position
    return {
        **({"method": settings.method["name"]} if isinstance(settings, FinetuneSettings) else {}),
        "trained_parameters": trained.learned,
        "steps": position.step,
        "best_step": position.best_step or position.step,
        "stopped_early": trained.stopped_early,
        "resumed_at_step": trained.resumed_at,
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": round(position.tokens / max(trained.seconds, 1e-9)),
    }

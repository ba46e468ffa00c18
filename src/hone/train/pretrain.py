"""The stage ``pretrain``: a base and texts that nobody labeled become a better base, a bundle without a task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hone.bundle.stage import CORPUS, HELD_OUT, Inputs, Outcome, Run
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.data.dataset import Dataset
from hone.models.cost import size_of, training_flops
from hone.models.model import Model, build_model, read_limit
from hone.models.peak import Precision, peak_rate
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.predict.write import write_base
from hone.report.report import Report
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.mixture import mixed
from hone.tasks.objectives.pretraining import Pretraining, text_rows
from hone.tasks.objectives.segmenting import segmenter_of
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.train.base_probes import Probe
from hone.train.finetune import ready, run_loop, start_of, training_facts
from hone.train.judged import Judged
from hone.train.log_plots import training_plots
from hone.train.loop import Setup, Trained
from hone.train.pretrain_faults import find_faults
from hone.train.pretrain_settings import PretrainSettings
from hone.train.processes import Processes
from hone.train.watch import places_in


def pretrain(settings: PretrainSettings, inputs: Inputs, run: Run) -> Outcome:
    """Train on ``corpus``, measure on ``held_out``, write a bundle without a task to ``run.target``.

    Raises:
        RecipeError, DataError, BundleError: What is asked for cannot be had.
    """
    faults = find_faults(settings, inputs)
    if faults:
        raise RecipeError.of(faults, what="pretrain")
    device = ready(settings, run)
    base, _ = start_of(inputs)
    tokenizer = load_tokenizer(base.folder)
    learning = Pretraining(settings.objective, _documents(settings, tokenizer, base.folder, inputs.data[CORPUS]))
    texts = {name: inputs.data[name] for name in (CORPUS, HELD_OUT) if name in inputs.data}
    encode = partial(text_rows, learning, cache=run.cache, progress=run.progress)
    with Processes(run.place).in_turn():
        rows = {name: encode(dataset) for name, dataset in texts.items()}
    torch.manual_seed(run.seed)
    model = build_model(base.folder, learning.head, dropout=settings.dropout, others=learning.others)
    if model.begun and model.head.gives == "logits":
        run.progress.say(f"{base.name} has no head over its vocabulary: one is begun, tied to its embeddings")
    assert inputs.corpus is not None, CORPUS  # whose documents these are
    passes = mixed(inputs.corpus.of(inputs.data[CORPUS]), rows[CORPUS], seed=run.seed)
    recipe = {"stage": "pretrain", "settings": settings.model_dump(mode="json"), "seed": run.seed,
              "epoch": dict(passes.decided), **({} if base.made is None else {"base": base.made})}  # fmt: skip
    data = {name: dataset.digest for name, dataset in inputs.data.items()}
    probes = [Probe(inputs.data[probe.on], probe, learning.documents, seed=run.seed) for probe in settings.probes]
    judged = Judged(learning, rows.get(HELD_OUT), probes, device=device)
    watched = settings.metric_for_best_model or judged.main_measure
    setup = Setup(
        settings=settings,
        seed=run.seed,
        identity=digest_value({"recipe": recipe, "data": data, "base": base.digest, "device": device.type}),
        checkpoints=run.folder / "checkpoints",
        options=LossOptions(),
        validate=judged.validate if judged.any else None,
        watched=watched,
        higher_is_better=judged.specs[watched].better != "lower",
        utilization=utilization(base.folder, rows[CORPUS], device=device, precision=settings.mixed_precision),
        passes=passes,
        parallel=settings.parallel,
        place=places_in(inputs.data[CORPUS]),
    )
    before = judged.tallies(model) if run.place.first else {}
    trained = run_loop(model, learning, rows[CORPUS], setup=setup, run=run, device=device)
    after = judged.tallies(model)
    lineage = inputs.lineage("pretrain", parents=[base.digest], recipe=recipe, seed=run.seed)
    bundle = write_base(run.target, model, tokenizer, lineage=lineage)
    report = _report(trained, setup=setup, inputs=inputs, rows=rows[CORPUS], judged=judged)
    report = judged.told(report, before, after, inputs=inputs, language=run.language, begun=_begun(learning, model))
    return Outcome(report.model_copy(update={"bundle": bundle.digest}), bundle)


def _begun(learning: Pretraining, model: Model) -> bool:
    """Whether what tells held-out text, the head of the objective named first, has weights that the base had not."""
    name = next(name for name, part in learning.parts.items() if learning.main_measure in part.specs())
    head: Any = model.others[name] if name else model.head
    return bool(model.begun) if head.gives == "logits" else any(True for _ in head.parameters())


def utilization(folder: Path, rows: Rows, *, device: torch.device, precision: Precision) -> Callable[[float], float]:
    """What share of the operations that ``device`` can do the model in ``folder`` does, at so many tokens a second of
    ``rows`` (Chowdhery et al. 2022)."""
    length = float(rows.lengths.mean())
    a_token, rate = training_flops(size_of(folder), tokens=1, length=length), peak_rate(device, precision)
    return lambda tokens_per_s: tokens_per_s * a_token / rate


def _documents(settings: PretrainSettings, tokenizer: Tokenizer, folder: Path, corpus: Dataset) -> Documents:
    limit = read_limit(folder)
    allowed = min(limit, tokenizer.max_tokens or limit)
    segmenter = segmenter_of(settings.segmenter, corpus)
    return Documents(tokenizer, max_tokens=min(settings.max_length or allowed, allowed), segmenter=segmenter)


def _report(trained: Trained, *, setup: Setup, inputs: Inputs, rows: Rows, judged: Judged) -> Report:
    return Report(
        stage="pretrain",
        tables={**judged.curve(trained.position.history), **training_plots(trained, setup)},
        facts={
            "rows": len(inputs.data[CORPUS]),
            "corpus_tokens": int(rows.lists("input_ids").offsets[-1]),
            **training_facts(trained, setup.settings),
        },
    )

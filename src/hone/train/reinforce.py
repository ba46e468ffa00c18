"""The stage ``reinforce``: a bundle that writes learns from what another bundle finds its texts worth."""

from __future__ import annotations

import copy
from functools import partial
from typing import cast

import numpy as np
import torch

from hone.bundle.stage import Inputs, Outcome, Run
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.core.measures import Measure, MeasureSpec
from hone.metrics.intervals import with_intervals
from hone.models.model import Model
from hone.predict.bases import place_of
from hone.predict.predictor import open_bundle, open_model
from hone.predict.rewards import Reward
from hone.predict.write import write_model
from hone.predict.writing import require_prompts
from hone.report.report import Report
from hone.tasks.encoded import placed
from hone.tasks.fields import as_read
from hone.tasks.protocol import FloatArray, LossOptions, Task
from hone.tasks.rows import Rows
from hone.tasks.written import WrittenText
from hone.train.finetune import ready, run_loop, start_of, training_facts, tune
from hone.train.log_plots import log_plots
from hone.train.loop import Setup
from hone.train.policy import Policy
from hone.train.prefer_faults import base_of, find_reinforce_faults
from hone.train.reinforce_settings import PROMPTS, ReinforceSettings
from hone.train.rounded import InTraining
from hone.train.watch import places_in

MEASURED = 256  # prompts that what became of the model is measured on
SPECS = {
    "reward": MeasureSpec(unit=""),
    "reward_before": MeasureSpec(unit=""),
    "log_ratio": MeasureSpec(unit="", better="lower"),
}


def reinforce(settings: ReinforceSettings, inputs: Inputs, run: Run) -> Outcome:
    """Train on the prompts in ``unlabeled`` and write a bundle of the same task to ``run.target``.

    A second model is in memory, the one that training starts from, and the bundle that gives the reward.

    Raises:
        RecipeError, DataError, BundleError: What is asked for cannot be had.
    """
    faults = find_reinforce_faults(settings, inputs)
    if faults:
        raise RecipeError.of(faults, what="reinforce")
    device = ready(settings, run)
    _, parent = start_of(inputs)
    assert parent is not None  # the stage needs one
    torch.manual_seed(run.seed)
    model, task = open_model(parent, dropout=0.0)
    assert isinstance(task, WrittenText)  # `Stage.writes`
    policy = _policy(settings, task, model, inputs=inputs, run=run, device=device)
    model.to(device)
    some = np.random.default_rng(run.seed).permutation(len(policy.rows))[:MEASURED]
    worth = partial(policy.worth, some, seed=run.seed, together=settings.per_device_train_batch_size)
    before = worth() if run.place.first else None
    tune(model, settings)
    recipe = {"stage": "reinforce", "settings": settings.model_dump(mode="json", exclude={"reward"}), "seed": run.seed,
              "reward": inputs.others["reward"][0].digest,
              "task": {"name": task.name, "settings": task.settings.model_dump(mode="json")}}  # fmt: skip
    data = {name: dataset.digest for name, dataset in inputs.data.items()}
    setup = Setup(
        settings=settings,
        seed=run.seed,
        identity=digest_value({"recipe": recipe, "data": data, "parent": parent.digest, "device": device.type}),
        checkpoints=run.folder / "checkpoints",
        options=LossOptions(),
        validate=None,
        watched="reward",
        higher_is_better=True,
        place=places_in(inputs.data[PROMPTS]),
        act=policy.act,
        figures=policy.figures,
    )
    trained = run_loop(model, cast(Task, policy), policy.rows, setup=setup, run=run, device=device)
    assert before is not None  # the loop has released other processes
    measures = _measures(before, worth())
    lineage = inputs.lineage("reinforce", parents=[parent.digest], recipe=recipe, seed=run.seed)
    bundle = write_model(run.target, model, task, lineage=lineage, base=base_of(parent))
    facts = {"rows": len(policy.rows), "samples": settings.samples, **training_facts(trained, settings)}
    report = Report(
        stage="reinforce", bundle=bundle.digest, measures=measures, facts=facts, tables=log_plots(run.folder)
    )
    return Outcome(report, bundle, {} if model.tuning is None else place_of(base_of(parent), bundle=bundle.digest))


def _policy(
    settings: ReinforceSettings, task: WrittenText, model: Model, *, inputs: Inputs, run: Run, device: torch.device
) -> Policy:
    """The task as it learns, beside a copy of ``model`` as it is now.

    Raises:
        DataError: See `_prompts`.
    """
    (judge,) = inputs.others["reward"]
    rows, read = _prompts(task, inputs)
    return Policy(
        task,
        model,
        rows=rows,
        read=read,
        reward=Reward(open_bundle(judge, device=run.device), settings.label),
        reference=InTraining(copy.deepcopy(model).fix(), device, settings.mixed_precision),
        samples=settings.samples,
        beta=settings.beta,
        seed=run.seed,
    )


def _prompts(task: WrittenText, inputs: Inputs) -> tuple[Rows, list[str]]:
    """The prompts, encoded, and as a person reads them.

    Raises:
        DataError: One is longer than allowed, and the settings refuse that; the base does not write it; or it has no
            tokens.
    """
    data = inputs.data[PROMPTS]
    columns = as_read(task, data.slice(0, len(data)))
    with placed(data):
        rows = Rows(task.encode(columns, purpose="predict"))
        require_prompts(rows, task.prompts(rows))
        return rows, task.shown(columns)


def _measures(before: FloatArray, after: FloatArray) -> list[Measure]:
    """Mean reward before and after, and how far the model has gone, over the same prompts, each drawn anew."""

    def values(tally: FloatArray) -> dict[str, float | None]:
        reward, ratio, first = (tally.sum(axis=0) / tally.sum(axis=0)[3])[:3].tolist()
        return {"reward": reward, "reward_before": first, "log_ratio": ratio}

    tally = np.concatenate([after, before[:, :1], np.ones((len(after), 1))], axis=1)
    return with_intervals(tally, values, specs=SPECS, additive=True)

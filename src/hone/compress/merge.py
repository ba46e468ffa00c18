"""The stage ``merge``: the bundle of an adapter becomes a plain one that answers the same, or none is written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run
from hone.compress.compare import answers, disk_mb, measures
from hone.compress.merging import MergeSettings
from hone.compress.probes import probes
from hone.core.errors import GateNotMet, RecipeError
from hone.core.measures import Measure
from hone.evaluate.agreement import agreed, agreement
from hone.models.adapters.linear import merged
from hone.models.adapters.table import METHODS
from hone.predict.bases import find_base
from hone.predict.batching import budgeted
from hone.predict.engine import TorchEngine
from hone.predict.formats import ADAPTERS
from hone.predict.predictor import Predictor, open_bundle, open_model, weights_format
from hone.predict.write import write_model
from hone.report.report import Cell, Grid, Report
from hone.tasks.fields import inputs_in
from hone.tasks.protocol import Columns, Task, Writing
from hone.tasks.rows import Rows

MOST_ROWS = 5000  # that the two are compared on


@dataclass(frozen=True)
class Compared:
    """What the two are compared on.

    Attributes:
        name: Of the split, or ``probes``.
        columns: The task's inputs, and the targets where there are any.
        labeled: Whether there are.
    """

    name: str
    columns: Columns
    labeled: bool

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def merge(settings: MergeSettings, inputs: Inputs, run: Run) -> Outcome:
    """Work the adapter of ``inputs.bundle`` into the weights of its base: a new bundle at ``run.target``, which needs
    neither.

    Raises:
        RecipeError: The bundle has no adapter, or one that weights cannot express.
        GateNotMet: The two differ by more than ``tolerance`` somewhere; nothing is written then.
    """
    assert inputs.bundle is not None
    bundle = inputs.bundle
    require_mergeable(bundle)
    model, task = open_model(bundle)
    compared = _compared(settings, inputs, task, seed=run.seed)
    merged(model)
    asked = {"stage": "merge", "settings": settings.model_dump(mode="json"), "seed": run.seed}
    parents = [bundle.digest, find_base(bundle).digest]
    lineage = inputs.lineage("merge", parents=parents, recipe=asked, seed=run.seed)
    with tempfile.TemporaryDirectory(prefix=".merge.", dir=_beside(run.target)) as folder:
        trial = open_bundle(write_model(Path(folder) / "bundle", model, task, lineage=lineage), device=run.device)
        parent = open_bundle(bundle, device=run.device)
        apart = furthest(parent, trial, compared)
        before, after = answers(parent, compared.columns), answers(trial, compared.columns)
    if not apart <= settings.tolerance:
        raise GateNotMet(
            f"merged and tuned differ by up to {apart:.2e} in a logit on {compared.name}",
            expected=f"at most {settings.tolerance:g}",
            fix="Serve the adapter's bundle as it is, or raise tolerance. No bundle was written.",
            code="merge.differs",
        )
    written = write_model(run.target, model, task, lineage=lineage)
    same = agreement(agreed(task, before, after))
    furthest_apart = Measure(name="max_logit_difference", value=apart, n=len(compared), unit="", better="lower")
    tables = {"beside_tuned": _sizes(bundle, written)}
    found = [same, furthest_apart]
    if compared.labeled:
        found = [*measures(task, after, compared.columns), *found]
    facts: dict[str, Cell] = {"method": _method(bundle), "data": compared.name, "rows": len(compared)}
    return Outcome(Report(stage="merge", bundle=written.digest, measures=found, tables=tables, facts=facts), written)


def require_mergeable(bundle: Bundle) -> None:
    """Raise unless the bundle's adapter can be worked into weights.

    Raises:
        RecipeError: It cannot, or there is none.
    """
    if weights_format(bundle) not in ADAPTERS:
        members = any(need.role == "member" for need in bundle.manifest.requires)
        raise RecipeError(
            f"the bundle {bundle.path} has no adapter to merge",
            expected="a bundle that was tuned by an adapter method",
            fix="It is an ensemble: hone compress --method distill makes one model of it."
            if members
            else "It is a plain bundle already: use it as it is.",
            code="merge.no-adapter",
        )
    name = _method(bundle)
    if not METHODS[name].merges:
        raise RecipeError(
            f"the bundle {bundle.path} was tuned by {name}, and {METHODS[name].not_merged}",
            expected=f"one of {', '.join(each for each in METHODS if METHODS[each].merges)}",
            fix="Serve the bundle as it is: predict, evaluate and serve take it.",
            code="merge.method",
        )


def _method(bundle: Bundle) -> str:
    return next(part.name for part in bundle.manifest.parts if part.role == "adapter")


def _compared(settings: MergeSettings, inputs: Inputs, task: Task, *, seed: int) -> Compared:
    on = settings.on or ("validation" if "validation" in inputs.data else None)
    if on is None:
        return Compared("probes", probes(task, seed=seed), labeled=False)
    data = inputs.split(on, stage="merge")
    return Compared(on, data.slice(0, min(len(data), MOST_ROWS)), labeled=on != "unlabeled")


def furthest(tuned: Predictor, plain: Predictor, compared: Compared) -> float:
    """The largest difference of two logits of the same place, over the same batches; the adapter's model runs module by
    module, so that what is beside a weight and what is worked into one are not computed by the same lines."""
    assert isinstance(tuned.engine, TorchEngine)
    task = tuned.task
    if isinstance(task, Writing):
        rows = Rows(task.encode(compared.columns, purpose="learn"))
    else:
        rows = Rows(task.encode(inputs_in(task, compared.columns), purpose="predict"))
    apart = 0.0
    for index in budgeted(rows.lengths):
        batch = tuned.task.collate(rows, index)
        with tuned.engine.model.module_by_module():
            here = tuned.engine.forward(batch)["logits"].cpu()
        there = plain.engine.forward(batch)["logits"].cpu()
        apart = max(apart, float(torch.nan_to_num((here - there).abs(), nan=torch.inf).max()))
    return apart


def _beside(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def _sizes(parent: Bundle, child: Bundle) -> Grid:
    sizes = [disk_mb(each) for each in (parent, child)]
    return Grid(columns=["what", "tuned", "merged"], rows=[["disk_mb", *sizes]], names="words")

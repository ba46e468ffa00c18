"""Run a recipe: read its data, then its stages in the file's order, each handing on what it made."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hone.bundle.bundle import Bundle, require_free
from hone.bundle.stage import CORPUS, HELD_OUT, NO_TASK, Inputs, Outcome, Run
from hone.core.errors import DataError, Fault
from hone.core.processes import place
from hone.core.progress import Progress, Silent
from hone.data.cache import default_cache
from hone.data.checks import duplicates, leaked, require_one_writing
from hone.data.corpus.corpus import Corpus
from hone.data.dataset import Dataset
from hone.data.fields import TO_WRITE
from hone.data.read import read
from hone.data.splits import carve_validation, nested_part
from hone.data.values import LABELED
from hone.models.base import Base
from hone.pipeline.alone import alone_in, require_alone
from hone.pipeline.base import find_base, require_changeable, require_learnable
from hone.pipeline.corpora import read_corpora
from hone.pipeline.folder import begin, keep
from hone.pipeline.labels import with_labels
from hone.pipeline.needs import CARVED, UNLABELED, readable
from hone.pipeline.overrides import apply_overrides
from hone.pipeline.probed import read_probed, require_apart
from hone.pipeline.recipe import Recipe, StageChoice, load_recipe, make_recipe
from hone.pipeline.stages import STAGES
from hone.pipeline.together import first_goes_first, join, outcome_of
from hone.report.catalog import Language
from hone.report.report import Report
from hone.tasks.fields import shape_of, shapes_of_data
from hone.tasks.table import TASKS

logger = logging.getLogger("hone.pipeline")


@dataclass(frozen=True)
class Result:
    """What a run left.

    Attributes:
        out: Its folder: ``bundle/``, ``reports/``, ``recipe.yaml``.
        bundle: The last bundle made, or the one it was given.
        reports: Kind -> report, in the order of the stages; a kind's second run is ``evaluate-2``.
        pages: The reports of this run as HTML, in the order of the stages.
        language: Of what people read in them.
    """

    out: Path
    bundle: Bundle | None
    reports: Mapping[str, Report] = field(default_factory=dict)
    pages: tuple[Path, ...] = ()
    language: Language = "en"


def run_recipe(
    recipe: Path | str | Mapping[str, Any],
    *,
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Result:
    """Run every stage of a recipe.

    Args:
        recipe: A YAML file, or its values (relative paths then start at the current folder).
        out: Where everything goes; ``runs/NAME`` when None.
        overrides: ``key=value`` with dotted keys.
        progress: Told how far it is.

    Raises:
        HoneError: See `hone.core.errors`; an interrupted finetune leaves a checkpoint that the same call resumes.
    """
    if isinstance(recipe, str | Path):
        decided = load_recipe(Path(recipe), overrides=overrides)
    else:
        values = copy.deepcopy(dict(recipe))
        apply_overrides(values, overrides)
        decided = make_recipe(values, folder=Path())
    return run_stages(decided, out=Path(out) if out else Path("runs") / decided.name, progress=progress or Silent())


def run_stages(
    recipe: Recipe,
    *,
    out: Path,
    progress: Progress,
    bundle: Bundle | None = None,
    bundle_to: Path | None = None,
    until: str = "",
) -> Result:
    """Run a decided recipe.

    Args:
        bundle: A bundle that the first stage starts from.
        bundle_to: Where the last bundle goes; ``out/bundle`` when None.
        until: Stop after the stage of this kind.
    """
    trains = any(choice.stage.trains for choice in recipe.stages)
    stages = with_inspect(recipe.stages) if trains else recipe.stages
    join(recipe.device)
    makers = [i for i, choice in enumerate(stages) if choice.stage.changes != "nothing"]
    targets = _targets(stages, out=out, last=bundle_to or out / "bundle")
    if makers and not until:
        require_free(targets[-1])  # not after hours of training
    require_alone(out)
    with first_goes_first():
        recipe, data, corpora, base = _read(recipe, stages, progress, bundle=bundle, targets=targets)
    logger.info("data %s; base %s", {name: d.digest[:12] for name, d in data.items()}, base.digest[:12] if base else "")
    with alone_in(out):
        begin(out, recipe, judges=bundle is not None and not makers)
        given, reports = bundle, dict[str, Report]()
        pages: list[Path] = []
        made: list[Bundle] = []
        for i, choice in enumerate(stages):
            run = _run_in(_folder(out, i, choice), recipe, progress, target=targets[i])
            inputs = _inputs(recipe, stages, i, data=data, base=base, bundle=bundle, reports=reports, target=targets[i])
            outcome = _timed(
                choice,
                dataclasses.replace(
                    inputs, corpus=corpora.get(CORPUS), held_out=corpora.get(HELD_OUT), made=tuple(made)
                ),
                run,
            )
            bundle = outcome.bundle or bundle
            made += [outcome.bundle] if outcome.bundle else []
            name = _free_name(choice.stage.kind, reports)
            reports[name] = outcome.report
            page = out / "reports" / f"{i:02d}-{name}.html"
            pages.append(page)
            # A bundle that was given is somebody else's: a judge leaves no trace in it.
            if place().first:
                keep(outcome, bundle if bundle is not given else None, page=page, name=name, language=recipe.language)
            if choice.stage.kind == until:
                break
        return Result(out, bundle, reports, tuple(pages), recipe.language)


def _folder(out: Path, at: int, choice: StageChoice) -> Path:
    return out / "stages" / f"{at:02d}-{choice.stage.kind}"


def _targets(stages: Sequence[StageChoice], *, out: Path, last: Path) -> list[Path]:
    """Where the bundle of each stage goes, if it makes one: that of the last which does to ``last``."""
    makers = [i for i, choice in enumerate(stages) if choice.stage.changes != "nothing"]
    final = makers[-1] if makers else 0
    return [last if i >= final else _folder(out, i, choice) / "bundle" for i, choice in enumerate(stages)]


def _read(
    recipe: Recipe,
    stages: Sequence[StageChoice],
    progress: Progress,
    *,
    bundle: Bundle | None,
    targets: Sequence[Path],
) -> tuple[Recipe, dict[str, Dataset], dict[str, Corpus], Base | None]:
    """The recipe with the labels that count, its data, its corpora, and its base where something is trained. Raises for
    what they cannot give: of a base that is there before a corpus is read, which may take hours."""
    trains = any(choice.stage.trains for choice in stages)
    recipe, data = read_data(recipe, progress)
    base = find_base(recipe, data, progress) if trains and isinstance(recipe.base, str) else None
    if trains:
        require_changeable(recipe)
    if base is not None and bundle is None:
        require_learnable(recipe, base)
    corpora, texts = read_corpora(recipe, stages, progress)
    data |= texts
    base = find_base(recipe, data, progress) if trains and base is None else base
    _require_doable(recipe, stages, data, base=base, bundle=bundle, targets=targets)
    return recipe, data, corpora, base


def _run_in(folder: Path, recipe: Recipe, progress: Progress, *, target: Path) -> Run:
    return Run(
        seed=recipe.seed,
        device=recipe.device,
        folder=folder,
        target=target,
        cache=default_cache(),
        progress=progress,
        language=recipe.language,
    )


def _timed(choice: StageChoice, inputs: Inputs, run: Run) -> Outcome:
    run.progress.say(f"{choice.stage.kind} ...")
    began = time.perf_counter()
    outcome = outcome_of(choice.stage, run, lambda here: choice.stage.run(choice.settings, inputs, here))
    logger.info("%s took %.1f s", choice.stage.kind, time.perf_counter() - began)
    return outcome


def _require_doable(
    recipe: Recipe,
    stages: Sequence[StageChoice],
    data: Mapping[str, Dataset],
    *,
    base: Base | None,
    bundle: Bundle | None,
    targets: Sequence[Path],
) -> None:
    """Raise for whatever the stages ask that data, task or their order cannot give: before any of them runs."""
    faults: list[Fault] = []
    has_bundle = bundle is not None
    for i, choice in enumerate(stages):
        at = f"stages.{i - len(stages) + len(recipe.stages)}"  # inspect may stand before the recipe's own
        if choice.stage.needs_bundle and not has_bundle:
            found = f"{choice.stage.kind}, with no bundle given and none made before it"
            faults.append(Fault("recipe.no-bundle", found, field=at, fix="Put finetune before it."))
        if choice.stage.bundles and has_bundle and not choice.stage.needs_bundle:
            found = f"{choice.stage.kind} after a stage that makes a bundle, which would be lost"
            fix = f"Run it by a recipe of its own, which names that bundle too under {choice.stage.bundles[0]}."
            faults.append(Fault("recipe.bundles", found, field=at, fix=fix))
        target = targets[i] if has_bundle == (bundle is not None) else None  # it starts from what is not made yet
        inputs = _inputs(recipe, stages, i, data=data, base=base, bundle=bundle, reports={}, target=target)
        wrong = choice.stage.faults(choice.settings, inputs)
        beside = [f for f in wrong if f.file or f.field.startswith(("task.", "data."))]  # not within the stage
        own = [dataclasses.replace(fault, field=f"{at}.{fault.field}") for fault in wrong if fault not in beside]
        faults += [*beside, *own]
        has_bundle |= choice.stage.changes != "nothing" and choice.stage.does_task
    if faults:
        raise recipe.refusal(faults)


def _free_name(kind: str, reports: Mapping[str, Report]) -> str:
    """``kind``, or ``kind-2`` and so on where a stage of this kind has run before."""
    names = (kind if number == 1 else f"{kind}-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in reports)


def with_inspect(stages: Sequence[StageChoice]) -> tuple[StageChoice, ...]:
    """The stages, ``inspect`` first of them."""
    if stages[0].stage.kind == "inspect":
        return tuple(stages)
    inspect = STAGES["inspect"]
    return (StageChoice(inspect, inspect.settings()), *stages)


def _inputs(
    recipe: Recipe,
    stages: Sequence[StageChoice],
    at: int,
    *,
    data: Mapping[str, Dataset],
    base: Base | None,
    bundle: Bundle | None,
    reports: Mapping[str, Report],
    target: Path | None,
) -> Inputs:
    """What the stage at this place is given: of the data only what it may read."""
    may = readable(stages[at], data, probed=recipe.probed)
    given = {name: dataset for name, dataset in data.items() if name in may}
    named = recipe.bundles(stages[at]).items()
    others = {setting: tuple(Bundle.open(path) for path in paths) for setting, paths in named}
    return Inputs(
        task=recipe.task,
        base=base,
        data=given,
        bundle=bundle,
        reports=dict(reports),
        plan={choice.stage.kind: choice.settings for choice in stages[at:]},
        recipe_digest=recipe.digest(
            stages[: at + 1],
            data={name: dataset.digest for name, dataset in given.items()},
            base=base.digest if base else "",
            others=[other.digest for each in others.values() for other in each],
        ),
        others=others,
        pretrained=any(choice.stage.trains and not choice.stage.does_task for choice in stages[:at]),
        target=target,
        device=recipe.device,
    )


def read_data(recipe: Recipe, progress: Progress) -> tuple[Recipe, dict[str, Dataset]]:
    """Every source, read and checked, and the recipe with the labels that count; a missing validation split is carved
    from train, and said."""
    asked, errors = read_probed(recipe)
    if recipe.task is NO_TASK:
        if errors:
            raise _together(errors)
        return recipe, asked
    kind = TASKS[recipe.task.name]
    data: dict[str, Dataset] = {}
    for name, source in recipe.sources.items():
        if source is not None and name not in recipe.probed:
            try:
                shapes = shapes_of_data(kind, name, recipe.task.settings)
                told = [shape.given for shape in shapes if shape.inputs]  # rows of nothing would fit any file
                choices = told if name == UNLABELED else [shape.fields for shape in shapes]
                data[name] = read(source, *choices, name=name, base=recipe.folder, cache=default_cache())
            except DataError as error:
                errors.append(error)
    if errors:
        raise _together(errors)
    for shape in kind.shapes():
        for target in shape.targets:
            if target.kind in LABELED:
                require_one_writing([one for one in data.values() if target.name in one.columns], target.name)
    require_apart(recipe, asked, data, progress)
    if "train" in data:
        data["train"] = _dropped(recipe, data, progress)
    recipe, data = with_labels(recipe, data, progress)
    for held, whole in CARVED.items():
        if whole in data and held not in recipe.sources:
            data[whole], data[held] = _carved(recipe, data[whole], progress, held=held)
    if "train" in data and recipe.options.train_share < 1:
        data["train"] = _part(recipe, data["train"], progress)
    order = ["train", "validation", "test"]
    names = sorted(data, key=lambda name: (order.index(name) if name in order else 9, name))
    return recipe, {name: data[name] for name in names} | asked


def _part(recipe: Recipe, train: Dataset, progress: Progress) -> Dataset:
    shape = shape_of(TASKS[recipe.task.name], train.columns)
    target = next((target.name for target in shape.targets[:1] if target.kind == "label"), "")
    part = nested_part(train, share=recipe.options.train_share, seed=recipe.split_seed, target=target)
    progress.say(f"{len(part)} of {len(train)} training rows are learned from")
    return part


def _carved(recipe: Recipe, dataset: Dataset, progress: Progress, *, held: str) -> tuple[Dataset, Dataset]:
    """Rows to learn from and rows to choose by, which are called ``held``."""
    shape = shape_of(TASKS[recipe.task.name], dataset.columns, recipe.task.settings)
    stratify = next((target.name for target in shape.targets[:1] if target.kind == "label"), None)
    kept, taken = carve_validation(
        dataset,
        share=recipe.options.validation_share,
        seed=recipe.split_seed,
        fields=shape.telling,
        targets=[field.name for field in shape.targets if field.kind not in TO_WRITE],  # a text teaches no label
        shared=shape.shared,
        name=held,
    )
    what = "no validation split is named" if held == "validation" else f"no {held} are named"
    seed = f"seed {recipe.split_seed}"
    ways = [f"stratified by {stratify}"] if stratify else []
    ways += [f"equal {name} together" for name in shape.shared]
    how = ", ".join([*ways, seed])
    progress.say(f"{what}: {len(taken)} rows of {dataset.name} were taken for it ({how}); {len(kept)} remain")
    return kept, taken


def _together(errors: Sequence[DataError]) -> DataError:
    """One error for all that is wrong with several sources."""
    if len(errors) == 1:
        return errors[0]
    return DataError(
        f"{len(errors)} sources of data cannot be used",
        faults=[fault for error in errors for fault in error.faults],
        fix="\n".join(error.fix for error in errors if error.fix),
        code=errors[0].code,
    )


def _dropped(recipe: Recipe, data: Mapping[str, Dataset], progress: Progress) -> Dataset:
    """The training rows without those that ``drop`` names."""
    train, kind = data["train"], TASKS[recipe.task.name]
    inputs = shape_of(kind, train.columns, recipe.task.settings).telling
    gone = np.zeros(len(train), dtype=bool)
    if "duplicates" in recipe.options.drop:
        gone[duplicates(train, *inputs)] = True
    if "leaked" in recipe.options.drop:
        for name, other in data.items():
            if name != "train" and shape_of(kind, other.columns, recipe.task.settings).telling == inputs:
                gone[leaked(train, other, *inputs)] = True
    if not gone.any():
        return train
    progress.say(f"dropped {int(gone.sum())} of {len(train)} training rows ({', '.join(recipe.options.drop)})")
    return train.take(np.flatnonzero(~gone))

"""What is measured while training, and faults of settings about that: there is nothing to measure, or no such
measure."""

from __future__ import annotations

from collections.abc import Collection

from hone.bundle.stage import Inputs
from hone.core.errors import Fault, did_you_mean
from hone.data.dataset import Dataset
from hone.tasks.protocol import Task, Writing
from hone.train.settings import LoopSettings


def main_measure(task: Task, validation: Dataset | None) -> str:
    """What decides which state is best, where nothing is said: of a task that writes, how likely the given texts are;
    to write them all each time takes longer than to train. Where the rows of ``validation`` cannot tell the task's main
    measure, the first that they can."""
    main = task.reference_measures[0] if isinstance(task, Writing) else task.main_measure
    untold = frozenset() if validation is None else task.untold(task.settings, validation)
    return next(name for name in (main, *task.measure_specs) if name not in untold)


def unmeasured(settings: LoopSettings, inputs: Inputs, *, split: str, source: str) -> list[Fault]:
    """Settings that rest on what is measured of ``split`` while training, where there is none; one that is not named is
    carved from ``source``."""
    if split in inputs.data:
        return []
    asked = [key for key in ("metric_for_best_model", "early_stopping_patience") if getattr(settings, key) is not None]
    if settings.keep == "best" and type(settings).model_fields["keep"].default != "best":  # else nobody asked for it
        asked.append("keep")
    return [
        Fault(
            "recipe.no-validation",
            f"{_shown(key)}, and no {split} to measure",
            f"{split}, or no {_shown(key)}",
            field=key,
            fix=f"Name a source under data, or leave `{split}: none` out: then one is carved from {source}.",
        )
        for key in asked
    ]


def _shown(key: str) -> str:
    return "keep: best" if key == "keep" else key


def unknown_measure(settings: LoopSettings, had: Collection[str], *, whose: str) -> list[Fault]:
    """A measure to choose by that is none of those ``had``; ``whose``: who has not got it."""
    name = settings.metric_for_best_model
    if name is None or name in had:
        return []
    found, fix = f"the measure {name!r}, which {whose}", did_you_mean(name, had)
    return [Fault("recipe.unknown-measure", found, field="metric_for_best_model", fix=fix)]

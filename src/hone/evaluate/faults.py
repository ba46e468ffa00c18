"""What of the settings of ``evaluate`` and ``compare`` cannot be had with their task and data; found before anything
runs, all together."""

from __future__ import annotations

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.evaluate.answering_settings import AnsweringSettings
from hone.evaluate.decoding import decoding_faults
from hone.evaluate.judged import judge_faults
from hone.predict.rewards import reward_faults
from hone.tasks.fields import holds_pairs
from hone.tasks.table import SETTINGS, TASKS


def find_faults(settings: AnsweringSettings, inputs: Inputs) -> list[Fault]:
    """Every fault: of decoding, or of words of rows under it; a reference for rows that are no pairs, or one that does
    another task; a reward where nothing is written, or from a bundle that gives none.

    Raises:
        MissingExtra: What measures written texts is not installed.
    """
    data = inputs.data.get(settings.on)
    faults = decoding_faults(settings.decoding, settings.on, inputs, best_of=settings.best_of)
    pairs = data is not None and holds_pairs(TASKS[inputs.task.name], data.columns)
    if settings.reference is not None and not pairs:
        found = f"{settings.reference}, and {settings.on} has no pairs of texts"
        faults.append(Fault("recipe.reference", found, "rows with chosen and rejected", field="reference"))
    for other in inputs.others.get("reference", ()):
        record = other.manifest.task
        if record is None or record.name != inputs.task.name:
            found = f"{settings.reference}, which does {record.name if record else 'no task'}"
            faults.append(Fault("recipe.reference", found, f"a bundle for {inputs.task.name}", field="reference"))
    if settings.best_of is not None and (pairs or SETTINGS[inputs.task.name].stack == "encoder"):
        found = f"{settings.best_of}, and of {'pairs' if pairs else inputs.task.name} nothing is written"
        faults.append(Fault("recipe.reward", found, "rows of a task that writes", field="best_of"))
    return [*faults, *reward_faults(inputs, settings.label), *judge_faults(settings, inputs)]

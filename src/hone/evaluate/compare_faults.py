"""What keeps two bundles from being compared; found before anything runs, all together."""

from __future__ import annotations

from dataclasses import replace

from hone.bundle.stage import Inputs, TaskChoice
from hone.core.errors import Fault
from hone.evaluate import faults as answering
from hone.evaluate.comparing import CompareSettings
from hone.tasks.table import SETTINGS


def find_faults(settings: CompareSettings, inputs: Inputs) -> list[Fault]:
    """Every fault: a bundle of another task, or of none; and what one of the two cannot be asked, or measured by, as
    settings of decoding, a reference, a reward or a judge.

    Raises:
        MissingExtra: What measures written texts is not installed.
    """
    faults = answering.find_faults(settings, inputs)
    for other in inputs.others.get("against", ()):
        record = other.manifest.task
        if record is None or record.name != inputs.task.name:
            found = f"{settings.against}, which does {record.name if record else 'no task'}"
            faults.append(Fault("recipe.compare", found, f"a bundle for {inputs.task.name}", field="against"))
            continue
        own = TaskChoice(record.name, SETTINGS[record.name].model_validate(record.settings))
        of_first = answering.find_faults(settings, replace(inputs, task=own, bundle=other))
        faults += [_said_of_first(fault) for fault in of_first if fault not in faults]
    return faults


def _said_of_first(fault: Fault) -> Fault:
    return replace(fault, found=f"{fault.found}, by the first bundle")

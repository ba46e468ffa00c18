"""What keeps two bundles from being compared; found before anything runs, all together."""

from __future__ import annotations

from dataclasses import replace

from hone.bundle.stage import Inputs, TaskChoice
from hone.core.errors import Fault
from hone.evaluate.comparing import CompareSettings
from hone.evaluate.decoding import decided_decoding, words_not_written
from hone.metrics.bleu import require_sacrebleu
from hone.tasks.fields import holds_pairs
from hone.tasks.table import SETTINGS, TASKS


def find_faults(settings: CompareSettings, inputs: Inputs) -> list[Fault]:
    """Every fault: a bundle of another task, or of none; settings of decoding for a task that writes nothing, or words
    of rows that they cannot hold, or that one of the two bundles cannot write.

    Raises:
        MissingExtra: What measures written texts is not installed.
    """
    faults = _decoding_faults(settings, inputs)
    for other in inputs.others.get("against", ()):
        record = other.manifest.task
        if record is None or record.name != inputs.task.name:
            found = f"{settings.against}, which does {record.name if record else 'no task'}"
            faults.append(Fault("recipe.compare", found, f"a bundle for {inputs.task.name}", field="against"))
            continue
        own = TaskChoice(record.name, SETTINGS[record.name].model_validate(record.settings))
        of_first = _decoding_faults(settings, replace(inputs, task=own, bundle=other))
        faults += [_said_of_first(fault) for fault in of_first if fault not in faults]
    return faults


def _decoding_faults(settings: CompareSettings, inputs: Inputs) -> list[Fault]:
    """Of the settings of decoding, and of words of rows under them, for the bundle of ``inputs``."""
    data = inputs.data.get(settings.on)
    decoding, faults = decided_decoding(settings.decoding, inputs)
    if decoding is None or data is None or holds_pairs(TASKS[inputs.task.name], data.columns):
        return faults
    require_sacrebleu("What is measured of texts that are written")
    return [*faults, *words_not_written(decoding, data, inputs, asked=settings.decoding)]


def _said_of_first(fault: Fault) -> Fault:
    return replace(fault, found=f"{fault.found}, by the first bundle")

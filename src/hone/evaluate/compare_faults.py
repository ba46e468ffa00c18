"""What keeps two bundles from being compared; found before anything runs, all together."""

from __future__ import annotations

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.evaluate.comparing import CompareSettings
from hone.evaluate.decoding import decided_decoding, words_not_written
from hone.metrics.bleu import require_sacrebleu
from hone.tasks.fields import holds_pairs
from hone.tasks.table import TASKS


def find_faults(settings: CompareSettings, inputs: Inputs) -> list[Fault]:
    """Every fault: a bundle of another task, or of none; settings of decoding for a task that writes nothing, or words
    of rows that they cannot hold.

    Raises:
        MissingExtra: What measures written texts is not installed.
    """
    data = inputs.data.get(settings.on)
    decoding, faults = decided_decoding(settings.decoding, inputs)
    if decoding is not None and data is not None and not holds_pairs(TASKS[inputs.task.name], data.columns):
        require_sacrebleu("What is measured of texts that are written")
        faults = [*faults, *words_not_written(decoding, data, inputs, asked=settings.decoding)]
    for other in inputs.others.get("against", ()):
        record = other.manifest.task
        if record is None or record.name != inputs.task.name:
            found = f"{settings.against}, which does {record.name if record else 'no task'}"
            faults.append(Fault("recipe.compare", found, f"a bundle for {inputs.task.name}", field="against"))
    return faults

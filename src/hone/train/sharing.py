"""What several processes must agree on before they train together, and what they cannot share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hone.core.errors import Fault
from hone.core.processes import place
from hone.core.progress import Progress
from hone.train.checkpoint import checkpoints_in, step_of
from hone.train.processes import Processes
from hone.train.settings import LoopSettings, ParallelSettings

if TYPE_CHECKING:
    from hone.models.model import Model
    from hone.train.loop import Loop


def sharing_faults(
    settings: LoopSettings, *, compared: bool = False, parallel: ParallelSettings | None = None
) -> Iterator[Fault]:
    """What the processes of this command cannot share: a step of fewer batches than there are of them.

    Args:
        compared: Whether the batches of a step are one batch to the task.
        parallel: How they divide the weights.
    """
    abreast = 1 if parallel is None else parallel.tensor
    count, batches = place().count, settings.gradient_accumulation_steps
    if count == 1 or count % abreast:  # which `sharded_faults` tells
        return
    if compared:
        found = f"{count} processes, and a task whose rows are compared with all others of a step"
        yield Fault("launch.compares", found, "one process", field="gradient_accumulation_steps")
    elif batches < (count := count // abreast):
        size = (
            "per_device_train_batch_tokens" if settings.per_device_train_batch_tokens else "per_device_train_batch_size"
        )
        yield Fault(
            "launch.batches",
            f"{batches}, the batches of a step, and {count} {'processes' if abreast == 1 else 'lanes'} to share them",
            f"{count} or more",
            field="gradient_accumulation_steps",
            fix=f"Set it to {count}; with {size} divided by as much a step stays as large as it is.",
        )


def same(processes: Processes, *, identity: str, model: Model) -> None:
    """Make sure that all processes begin the same training with the same weights.

    Raises:
        HoneError: Recipe, data or base of one are not those of the others.
    """
    if not processes.several:
        return
    processes.require_same(
        identity,
        what="recipe, data, base or kind of device",
        fix="Give each machine the same files; they may lie elsewhere.",
    )
    processes.alike([*model.parameters(), *model.buffers()])


def resumed(loop: Loop, progress: Progress) -> int | None:
    """Take up the newest checkpoint of this very training, and say so; its step, or None where there is none. Where
    those of another one lie there, that is said: whoever changed a setting may have meant to go on.

    Raises:
        HoneError: It is damaged, or not all processes see it.
    """
    processes, found = loop.processes, loop.resume()
    if processes.several:
        processes.require_same(
            str(found or 0),
            what="the step of the checkpoint",
            fix="Name with --out a folder that all machines share.",
        )
    before, loop.position.processes = loop.position.processes, processes.place.count
    if found is not None:
        by = f", which {before} shared" if before != processes.place.count else ""
        progress.say(f"resuming at step {found} of {loop.total}, from a checkpoint of this same recipe{by}")
    elif others := checkpoints_in(loop.setup.checkpoints):
        progress.say(
            f"the checkpoint {others[-1]} (step {step_of(others[-1])}) is of a training with other settings, data or "
            "base: this one begins anew, and its first checkpoint will remove that one"
        )
    if processes.several:
        weights = ", and divide the weights" if loop.holding.divided else ""
        progress.say(f"{processes.place.count} processes share each step's batches{weights}")
    return found

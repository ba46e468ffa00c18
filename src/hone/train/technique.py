"""What a technique of the loop is: the moments at which it may act, and what it keeps between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hone.core.choice import opened
from hone.models.heads import Outputs
from hone.models.model import Model
from hone.tasks.protocol import Loss, Objective
from hone.tasks.rows import Batch
from hone.train.techniques import OF_METHODS, TECHNIQUES, technique_named


@dataclass(frozen=True)
class Course:
    """The training that a technique acts in.

    Attributes:
        model: What is trained, as it was before the first step.
        seed: Whatever a technique draws follows from it and from the step.
        steps, steps_per_epoch: Optimizer steps in all, and of one epoch.
        settled: Within it every weight is up to date, the rows of the embedding table that are moved late too.
    """

    model: Model
    task: Objective
    seed: int
    steps: int
    steps_per_epoch: int
    settled: Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Pass:
    """A batch that went through the model once.

    Attributes:
        loss: Its summed loss, before any technique.
        again: Sends it through once more, under other masks of dropout.
        backward: Adds the derivatives of a summed loss to those of the step.
    """

    batch: Batch
    outputs: Outputs
    loss: Loss
    again: Callable[[], tuple[Outputs, Loss]]
    backward: Callable[[Tensor], None]


class Technique:
    """Does nothing at any moment; an entry of the table overrides those it needs.

    Whatever it draws is a function of the course's seed and the step, so that a resumed run draws the same; what else
    it knows from steps before is its `state`.
    """

    def rates(self) -> Mapping[str, float]:
        """Shares of their peak rates that weights learn at, by their names; asked for before the first step."""
        return {}

    def on_begin(self, step: int) -> None:
        """The step after ``step`` is about to be made, in every process, also in one that takes none of its batches."""

    def on_batch(self, batch: Batch, step: int) -> None:
        """A batch of the step after ``step`` is about to go through the model, in the process that takes it."""

    def penalty(self) -> Tensor | None:
        """What is added to the mean loss of a step, whatever its batches are; None: nothing."""
        return None

    def on_loss(self, loss: Tensor, seen: Pass) -> Tensor:
        """The summed loss of a batch, before its derivatives are taken."""
        return loss

    def on_derivatives(self, seen: Pass) -> None:
        """The derivatives of a batch are added to the step's; more of them may be."""

    def on_backward(self) -> None:
        """Derivatives of all batches of a step are there, the step is not made."""

    def on_step(self, step: int) -> None:
        """``step`` optimizer steps are done."""

    def on_end(self) -> None:
        """Training is over: leave in the model what is to remain."""

    @contextmanager
    def as_it_would_end(self) -> Iterator[None]:
        """Within it the model is what `on_end` would leave, for validation to measure; afterwards it is as it was."""
        yield

    @property
    def ripe(self) -> int:
        """The step from which the weights are such as may be left: no earlier ones are kept as the best."""
        return 0

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what a checkpoint kept."""


class Techniques:
    """The techniques of one training, in the order the recipe names them, and last that of its tuning method.

    Args:
        chosen: Decided entries of the table.
        course: The training.
    """

    def __init__(self, chosen: Sequence[Mapping[str, Any]], course: Course) -> None:
        self._each: list[Technique] = []
        self.inside = False  # whether one of them acts inside the model's forward pass
        for value in chosen:
            entry, settings = opened(value, TECHNIQUES)
            self._each.append(entry.make(settings, course))
            self.inside |= entry.inside
        method, tuning = course.model.tuning or ("", None)
        if method in OF_METHODS:
            self._each.append(technique_named(OF_METHODS[method])(tuning, course))

    def rates(self) -> dict[str, float]:
        """Those of all, multiplied."""
        found: dict[str, float] = {}
        for technique in self._each:
            for name, share in technique.rates().items():
                found[name] = found.get(name, 1.0) * share
        return found

    def on_begin(self, step: int) -> None:
        for technique in self._each:
            technique.on_begin(step)

    def on_batch(self, batch: Batch, step: int) -> None:
        for technique in self._each:
            technique.on_batch(batch, step)

    def penalty(self) -> Tensor | None:
        """Those of all, added up; None where there is none."""
        found = [penalty for penalty in (technique.penalty() for technique in self._each) if penalty is not None]
        return torch.stack(found).sum() if found else None

    def on_loss(self, seen: Pass) -> Tensor:
        """The loss that the first technique makes of the task's, the second of that, and so on; and its share of what
        is added to the mean."""
        loss, penalty = seen.loss.total, self.penalty()
        for technique in self._each:
            loss = technique.on_loss(loss, seen)
        return loss if penalty is None else loss + seen.loss.weight * penalty

    def on_derivatives(self, seen: Pass) -> None:
        for technique in self._each:
            technique.on_derivatives(seen)

    def on_backward(self) -> None:
        for technique in self._each:
            technique.on_backward()

    def on_step(self, step: int) -> None:
        for technique in self._each:
            technique.on_step(step)

    def on_end(self) -> None:
        for technique in self._each:
            technique.on_end()

    @contextmanager
    def as_it_would_end(self) -> Iterator[None]:
        with ExitStack() as stack:
            for technique in self._each:
                stack.enter_context(technique.as_it_would_end())
            yield

    @property
    def ripe(self) -> int:
        """The step from which all of them are content."""
        return max((technique.ripe for technique in self._each), default=0)

    def state(self) -> dict[str, Tensor]:
        """By place in the recipe."""
        return {f"{i}.{name}": value for i, each in enumerate(self._each) for name, value in each.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for i, technique in enumerate(self._each):
            start = f"{i}."
            technique.restore({key.removeprefix(start): state[key] for key in state if key.startswith(start)})

"""What a technique of the loop is: four moments at which it may act, and what it keeps between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor

from hone.core.choice import opened
from hone.models.model import Model
from hone.train.techniques import TECHNIQUES


class Technique:
    """Does nothing at any moment; an entry of the table overrides those it needs."""

    def on_loss(self, loss: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The summed loss of a batch, before its derivatives are taken."""
        return loss

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

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what a checkpoint kept."""


class Techniques:
    """The techniques of one training, in the order the recipe names them.

    Args:
        chosen: Decided entries of the table.
        model: The model that is trained.
    """

    def __init__(self, chosen: Sequence[Mapping[str, Any]], model: Model) -> None:
        self._each: list[Technique] = []
        for value in chosen:
            entry, settings = opened(value, TECHNIQUES)
            self._each.append(entry.make(settings, model))

    def on_loss(self, loss: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        for technique in self._each:
            loss = technique.on_loss(loss, batch)
        return loss

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

    def state(self) -> dict[str, Tensor]:
        """By place in the recipe."""
        return {f"{i}.{name}": value for i, each in enumerate(self._each) for name, value in each.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for i, technique in enumerate(self._each):
            start = f"{i}."
            technique.restore({key.removeprefix(start): state[key] for key in state if key.startswith(start)})

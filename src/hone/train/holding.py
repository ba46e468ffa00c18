"""`Holding`: which process has which weights of the model that is trained, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from hone.models.model import Model
from hone.models.noise import draw_from
from hone.train.checkpoint import Position, learned_state, load_checkpoint, save_checkpoint
from hone.train.processes import Processes

Restored = tuple[Position, dict[str, Tensor] | None, dict[str, Tensor]]  # the best weights, what techniques kept


class Holding:
    """Each process has all weights. The first alone keeps the best ones and writes checkpoints.

    Args:
        model: What is trained, the same in all processes now.
        fixed: See `learned_state`.

    Attributes:
        model: What the loop trains.
        divided: Whether a process has but a part of it.
    """

    divided = False

    def __init__(self, model: Model, processes: Processes, *, fixed: Set[str]) -> None:
        self.model, self._processes, self._fixed = model, processes, fixed

    @contextmanager
    def training(self) -> Iterator[None]:
        """Within it the model is trained."""
        yield

    def begin(self, *, seed: int, step: int, batch: int) -> None:
        """A batch is about to go through the model: begin its random numbers, those of torch's own generators too. They
        are the same whichever process takes it, and in a run that was killed and goes on."""
        self.model.noise.start(seed=seed, step=step, batch=batch)
        draw_from(seed, step, batch)

    def add(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up the gradients of all processes."""
        self._processes.add(parameters)

    def norm(self, parameters: Sequence[Tensor]) -> Tensor:
        """The norm of all gradients together, float32 []."""
        return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])

    def clip(self, parameters: Sequence[Tensor], *, norm: Tensor, most: float) -> None:
        """Scale gradients whose norm is ``norm`` down to one of at most ``most``."""
        torch.nn.utils.clip_grads_with_norm_(parameters, most, norm)

    def measured(self, validate: Callable[[Model], dict[str, float | None]]) -> dict[str, float | None]:
        """What the first process measures of the model, told to all."""
        return self._processes.told(lambda: validate(self.model))

    def kept(self) -> dict[str, Tensor] | None:
        """A copy of the weights as they are, in a process that keeps the best ones."""
        return {name: value.clone() for name, value in self._state().items()} if self._processes.first else None

    def save(
        self,
        folder: Path,
        *,
        position: Position,
        optimizer: torch.optim.Optimizer,
        best: dict[str, Tensor] | None,
        techniques: Mapping[str, Tensor],
    ) -> None:
        """Write a checkpoint; see `save_checkpoint`."""
        if self._processes.first:
            save_checkpoint(folder, position=position, state=self._state(), optimizer=optimizer, best=best,
                            techniques=dict(techniques))  # fmt: skip

    def load(self, path: Path, *, optimizer: torch.optim.Optimizer) -> Restored:
        """Take up a checkpoint; see `load_checkpoint`."""
        return load_checkpoint(path, model=self.model, optimizer=optimizer, fixed=self._fixed)

    def finish(self) -> None:
        """Training is over: leave in the model that it was given what was learned, in the first process at least."""

    def _state(self) -> dict[str, Tensor]:
        return learned_state(self.model, fixed=self._fixed)

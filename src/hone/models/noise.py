"""Random masks for dropout (Srivastava et al. 2014): drawn fast, and a function of seed and step alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 1 << 16  # a draw has 16 bits: the share dropped is the one asked for to within 1/131072

TORCHS = functional.dropout

Ticket = tuple[int, int, int]  # seed, step, and how many were given out before in that step
OF_A_BATCH = 1 << 20  # tickets at most
FEW = 4096  # states for which beginning a generator takes longer than drawing


class Noise:
    """Gives out tickets for masks, training step after training step.

    A mask follows from its ticket: a resumed run draws what the killed one would have drawn, nothing of it is saved,
    and one that is needed again on the way back can be drawn again.
    """

    def __init__(self) -> None:
        self.start(seed=0, step=0)

    def start(self, *, seed: int, step: int, batch: int = 0) -> None:
        """Begin the masks of ``step``, or those of one of its batches, whichever came before it here."""
        self._seed, self._step, self._given = seed, step, batch * OF_A_BATCH

    @property
    def step(self) -> int:
        """The step that masks are drawn for."""
        return self._step

    @property
    def given(self) -> int:
        """How many tickets of this step are given out."""
        return self._given

    @contextmanager
    def back_at(self, given: int) -> Iterator[None]:
        """Within it the tickets after ``given`` are given out again, and then it goes on as if they had not been."""
        before, self._given = self._given, given
        try:
            yield
        finally:
            self._given = before

    def ticket(self) -> Ticket:
        """One for the next mask of this step."""
        self._given += 1
        return self._seed, self._step, self._given

    @staticmethod
    def mask(ticket: Ticket, shape: tuple[int, ...], *, drop: float, part: int = 0) -> Tensor:
        """A float32 mask on the CPU: 0 with probability ``drop``, else ``1 / (1 - drop)``. ``part`` tells the parts of
        one mask apart."""
        count, below = math.prod(shape), round(drop * LEVELS)
        generator = np.random.Generator(np.random.SFC64([*ticket, part]))
        words = generator.integers(0, 1 << 64, size=-(-count // 4), dtype=np.uint64)
        kept = torch.from_numpy(words.view(np.int16)[:count]) >= below - LEVELS // 2
        return kept.to(torch.float32).mul_(LEVELS / (LEVELS - below)).view(shape)

    @staticmethod
    def even(ticket: Ticket, shape: tuple[int, ...]) -> Tensor:
        """Numbers of a ticket, drawn evenly from 0 to 1: float32 on the CPU."""
        drawn = np.random.Generator(np.random.SFC64(ticket)).random(shape, dtype=np.float32)
        return torch.from_numpy(drawn)

    @staticmethod
    def mask_like(states: Tensor, *, ticket: Ticket, drop: float) -> Tensor:
        """A mask drawn where ``states`` are, in their shape and type, and not the numbers of `mask`: a GPU would wait
        for those of the CPU."""
        generator = torch.Generator(states.device).manual_seed(_seed_of(ticket))
        return torch.empty_like(states).bernoulli_(1 - drop, generator=generator).div_(1 - drop)


@contextmanager
def quick_dropout() -> Iterator[None]:
    """Within it `torch.nn.functional.dropout` on a CPU, which layers of transformers call on the way forth and, where
    they are computed again, on the way back, draws a mask as `Noise` does, from one number of torch's own generator:
    torch draws a number for each of the states, ten times as long. It follows from the state of that generator alike.

    The function is put in place of torch's for the whole process: no mode of torch's reaches what is computed again.
    """
    functional.dropout = _drop
    try:
        yield
    finally:
        functional.dropout = TORCHS  # whichever of several trainings ends first: the others go on with torch's


def _drop(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    plain = type(input) is Tensor and input.device.type == "cpu" and input.is_floating_point()
    if not (plain and training and 0 < round(p * LEVELS) < LEVELS) or inplace or input.numel() < FEW:
        return TORCHS(input, p, training, inplace)
    ticket = int(torch.randint(1 << 62, ())), 0, 0
    return input * Noise.mask(ticket, tuple(input.shape), drop=p).to(input.dtype)


class Dropout(nn.Module):
    """`torch.nn.Dropout` with masks from a `Noise`."""

    def __init__(self, drop: float, noise: Noise) -> None:
        super().__init__()
        self.p, self._noise = drop, noise

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and self.p):
            return input
        ticket = self._noise.ticket()
        if input.device.type != "cpu":
            return input * Noise.mask_like(input, ticket=ticket, drop=self.p)
        return input * Noise.mask(ticket, tuple(input.shape), drop=self.p)


def drawing_state() -> list[Tensor]:
    """The states of torch's own generators, which the dropout of heads and of transformers' layers draws from: the
    CPU's, and that of the GPU in use."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if on_gpu() else [])]


def on_gpu() -> bool:
    """Whether this process computes on a GPU, which asking for its state would else begin."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def draw_from(*seeds: int) -> None:
    """Begin the same generators anew, of a stream that ``seeds`` name, none below 0."""
    seed = _seed_of(seeds)
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` notes a stack for each device not in use yet
    if on_gpu():
        torch.cuda.manual_seed(seed)


def draw_again(states: list[Tensor]) -> None:
    """Draw again what was drawn since `drawing_state`."""
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)


def _seed_of(numbers: tuple[int, ...]) -> int:
    """What a generator of torch's takes, of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))

"""Random masks for dropout (Srivastava et al. 2014): drawn fast, and a function of seed and step alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 1 << 16  # a draw has 16 bits: the share dropped is the one asked for to within 1/131072


class Noise:
    """Draws the masks of one training step after another.

    A mask depends on seed, step and how many were drawn before it in that step, so that a resumed run draws what the
    killed one would have drawn, and nothing of it needs to be saved.
    """

    def __init__(self) -> None:
        self.start(seed=0, step=0)

    def start(self, *, seed: int, step: int) -> None:
        """Begin the masks of ``step``."""
        self._generator = np.random.Generator(np.random.SFC64([seed, step]))

    def mask(self, shape: tuple[int, ...], *, drop: float) -> Tensor:
        """A float32 mask on the CPU: 0 with probability ``drop``, else ``1 / (1 - drop)``."""
        count, below = math.prod(shape), round(drop * LEVELS)
        words = self._generator.integers(0, 1 << 64, size=-(-count // 4), dtype=np.uint64)
        kept = torch.from_numpy(words.view(np.int16)[:count]) >= below - LEVELS // 2
        return kept.to(torch.float32).mul_(LEVELS / (LEVELS - below)).view(shape)


class Dropout(nn.Module):
    """`torch.nn.Dropout` with masks from a `Noise`."""

    def __init__(self, drop: float, noise: Noise) -> None:
        super().__init__()
        self.p, self._noise = drop, noise

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and self.p):
            return input
        return input * self._noise.mask(tuple(input.shape), drop=self.p)

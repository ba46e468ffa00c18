"""What techniques have in common that leave an average of the weights in place of the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hone.train.pieces import local
from hone.train.technique import Technique


class Averaged(Technique):
    """An average of ``weights``, empty until a subclass begins it; what remains is the average.

    Args:
        weights: By name.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        self._weights = dict(weights)
        self._averages: dict[str, Tensor] = {}

    def _begin(self) -> None:
        self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def _mix_in(self, share: float) -> None:
        """``average += share (weights - average)``."""
        torch._foreach_lerp_([*map(local, self._averages.values())], [*map(local, self._weights.values())], share)

    @torch.no_grad()
    def on_end(self) -> None:
        for name, average in self._averages.items():
            self._weights[name].copy_(average)

    @contextmanager
    def as_it_would_end(self) -> Iterator[None]:
        before = {name: self._weights[name].detach().clone() for name in self._averages}
        self.on_end()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in before.items():
                    self._weights[name].copy_(weight)

    def state(self) -> dict[str, Tensor]:
        return dict(self._averages)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._averages = {n: state[n].to(w.device, copy=True) for n, w in self._weights.items() if n in state}

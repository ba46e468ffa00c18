"""``ema``: what remains is an exponential moving average of the weights (Polyak and Juditsky 1992; Morales-Brotons et
al. 2024: with it the rate need not fall as far).

The table of token embeddings is left out: a batch reads few of its rows, and on a CPU the others are moved only when
they are read (`hone.train.lazy_rows`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hone.models.model import Model
from hone.train.technique import Technique
from hone.train.techniques import EmaSettings

EVERY = 4  # steps: the average reads every weight, which at each step costs memory bandwidth for little


class Ema(Technique):
    """``average += (1 - decay^4) (weights - average)`` every four steps; a plain mean while that is the larger weight,
    so that where training began is forgotten.

    Args:
        settings: Its decay.
        model: Whose weights are averaged, those that learn.
    """

    def __init__(self, settings: EmaSettings, model: Model) -> None:
        backbone: Any = model.backbone
        table = backbone.get_input_embeddings().weight
        self._weights = {n: p for n, p in model.named_parameters() if p.requires_grad and p is not table}
        self._least = 1 - settings.decay**EVERY
        self._averages: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_step(self, step: int) -> None:
        if not self._averages:  # the very first state: a training of under four steps has an average too
            self._averages = {name: weight.detach().clone() for name, weight in self._weights.items()}
        elif step % EVERY == 0:
            share = max(self._least, 1 / (step // EVERY))
            torch._foreach_lerp_(list(self._averages.values()), list(self._weights.values()), share)

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

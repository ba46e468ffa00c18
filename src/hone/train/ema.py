"""``ema``: what remains is an exponential moving average of the weights (Polyak and Juditsky 1992; Morales-Brotons et
al. 2024: with it the rate need not fall as far).

The table of token embeddings is left out: a batch reads few of its rows, and on a CPU the others are moved only when
they are read (`hone.train.lazy_rows`).
"""

from __future__ import annotations

from typing import Any

from hone.train.averaged import Averaged
from hone.train.technique import Course
from hone.train.techniques import EmaSettings

EVERY = 4  # steps: the average reads every weight, which at each step costs memory bandwidth for little


class Ema(Averaged):
    """``average += (1 - decay^4) (weights - average)`` every four steps; a plain mean while that is the larger weight,
    so that where training began is forgotten.

    Args:
        settings: Its decay.
        course: Whose weights are averaged, those that learn.
    """

    def __init__(self, settings: EmaSettings, course: Course) -> None:
        backbone: Any = course.model.backbone
        table = backbone.get_input_embeddings().weight
        super().__init__({n: p for n, p in course.model.named_parameters() if p.requires_grad and p is not table})
        self._least = 1 - settings.decay**EVERY

    def on_step(self, step: int) -> None:
        if not self._averages:  # the very first state: a training of under four steps has an average too
            self._begin()
        elif step % EVERY == 0:
            self._mix_in(max(self._least, 1 / (step // EVERY)))

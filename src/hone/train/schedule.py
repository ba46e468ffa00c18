"""Learning-rate schedules: a factor between 0 and 1 of the peak rate, a function of the step alone."""

from __future__ import annotations

import math
from typing import Literal

Shape = Literal["linear", "cosine", "constant", "inverse_sqrt"]
TIMESCALE = 10_000  # steps over which an inverse square root falls where there is no warmup


def rate_factor(step: int, *, total: int, warmup: int, shape: Shape) -> float:
    """Factor for the optimizer step ``step`` (0-based) of ``total``, the first ``warmup`` of them rising linearly.

    ``linear`` falls to zero at ``total`` and stays there, ``cosine`` follows half a cosine there (Loshchilov and Hutter
    2017), ``constant`` stays at one, ``inverse_sqrt`` falls with the square root of the steps, from warmup on as slowly
    as that was long (Vaswani et al. 2017).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if shape == "constant":
        return 1.0
    if shape == "inverse_sqrt":
        scale = warmup or TIMESCALE
        return math.sqrt(scale / (step + scale - warmup))
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return 1.0 - done if shape == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))

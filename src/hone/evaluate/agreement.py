"""How often two ways to answer say the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.core.measures import Measure
from hone.metrics.intervals import wilson
from hone.tasks.protocol import Prediction, Task


def agreed(task: Task, before: Sequence[Prediction], after: Sequence[Prediction]) -> NDArray[np.bool_]:
    """Of each example whether both say the same, bool [examples]."""
    return np.array([task.agrees(one, other) for one, other in zip(before, after, strict=True)], dtype=np.bool_)


def agreement(same: NDArray[np.bool_], *, name: str = "agreement") -> Measure:
    """Share of the examples on which both say the same, with Wilson's interval; ``same`` is `agreed`."""
    low, high = wilson(int(same.sum()), len(same))
    return Measure(name=name, value=float(same.mean()), low=low, high=high, n=len(same))

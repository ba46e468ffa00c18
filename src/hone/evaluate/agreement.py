"""How often two ways to answer say the same."""

from __future__ import annotations

from collections.abc import Sequence

from hone.core.measures import Measure
from hone.metrics.intervals import wilson
from hone.tasks.protocol import Prediction, Task


def agreement(
    task: Task, before: Sequence[Prediction], after: Sequence[Prediction], *, name: str = "agreement"
) -> Measure:
    """Share of the examples on which both say the same."""
    same = sum(task.agrees(one, other) for one, other in zip(before, after, strict=True))
    low, high = wilson(same, len(before))
    return Measure(name=name, value=same / len(before), low=low, high=high, n=len(before))

"""Which state of a training is the best so far, by what validation measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hone.core.errors import HoneError
from hone.train.checkpoint import Position

if TYPE_CHECKING:
    from hone.train.loop import Setup


def is_best(
    values: Mapping[str, float | None], *, position: Position, setup: Setup, ripe: int, say: Callable[[str], None]
) -> bool:
    """Whether no state before was as good by the watched measure; what follows from it is noted in ``position``.

    A state without a value is neither the best nor worse than it, which is said.

    Args:
        values: Every measure, as validation gave it.
        ripe: The step from which weights are such as may be left.

    Raises:
        HoneError: The measure is no number.
    """
    name = setup.watched
    value = values[name]
    if value is None:
        say(f"step {position.step}: validation gives no {name} here, so that nothing is chosen by it")
        return False
    if math.isnan(value):
        raise HoneError(
            f"the {name} of validation at step {position.step} is no number",
            fix="Lower learning_rate, or set metric_for_best_model to another measure.",
            code="train.measure-not-finite",
        )
    say(f"step {position.step}: validation {name} {value:.4f}")
    if position.step < ripe:
        return False
    sign = 1 if setup.higher_is_better else -1
    if position.best is not None and sign * value <= sign * position.best:
        position.stale += 1
        return False
    position.best, position.best_step, position.stale = value, position.step, 0
    return True

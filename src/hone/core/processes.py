"""`Place`: which of several processes of one command this is, as torchrun tells each of them; no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hone.core.errors import RecipeError

TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Place:
    """A process among those that run one command together.

    Attributes:
        number: Its number; 0 is the first, which writes whatever is written.
        count: How many there are.
        local: Its number among those of its machine.
    """

    number: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether it is the first, as it is where it is alone."""
        return self.number == 0


ALONE = Place()
_mine = ALONE


def place() -> Place:
    """The place of this process. What torchrun told is taken out of the environment: a library that found it there
    would start a group of processes of its own, and so would a program that this one starts.

    Raises:
        RecipeError: The environment says nothing that can be.
    """
    global _mine
    told = {name: os.environ[name] for name in TOLD if name in os.environ}
    if "WORLD_SIZE" not in told or told == {"WORLD_SIZE": "1"}:
        return _mine
    try:
        number, count, local = (int(told[name]) for name in TOLD)
    except (KeyError, ValueError):
        number, count, local = -1, 0, 0
    if not 0 <= number < count:
        raise RecipeError(
            f"the environment says {told}",
            expected="RANK, WORLD_SIZE and LOCAL_RANK, numbers all, as torchrun sets them",
            fix="Start it by `hone launch`, or unset WORLD_SIZE.",
            code="launch.environment",
        )
    for name in TOLD:
        del os.environ[name]
    _mine = Place(number, count, local)
    return _mine

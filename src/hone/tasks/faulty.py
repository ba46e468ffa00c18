"""What is wrong with some examples, told by their index until somebody knows where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol, Self, runtime_checkable

from hone.core.errors import FAULTS_NAMED, DataError, Fault

Places = Mapping[int, tuple[str, int | None]]  # index of an example -> its file and line


@runtime_checkable
class OfExamples(Protocol):
    """An error about some examples.

    Attributes:
        examples: Their indices.
    """

    @property
    def examples(self) -> Sequence[int]: ...

    def placed(self, places: Places) -> Self:
        """The same error, with the file and line of each that is known."""
        ...

    def among(self, others: Sequence[Self], *, looked_at: int) -> Self:
        """The same error of these examples and those of ``others``, of so many that were looked at."""
        ...


class FaultyExamples(DataError):
    """Examples each of which has a fault of its own; see `OfExamples`.

    Args:
        what: What of them it is.
        wrong: Index of the example -> what is wrong with it.
        places: File and line of each of them, where they are known.
        looked_at: How many examples there are with these; 0 where that is not known.
    """

    def __init__(
        self, what: str, wrong: Mapping[int, Fault], *, places: Places | None = None, looked_at: int = 0
    ) -> None:
        self.examples = list(wrong)
        self._made = (what, wrong, looked_at)
        faults = named(wrong, places)
        super().__init__(f"{what}: {how_many(len(wrong), looked_at)}", faults=faults, code=faults[0].code)

    def placed(self, places: Places) -> Self:
        what, wrong, looked_at = self._made
        return type(self)(what, wrong, places=places, looked_at=looked_at)

    def among(self, others: Sequence[Self], *, looked_at: int) -> Self:
        wrong = {index: fault for one in (self, *others) for index, fault in one._made[1].items()}
        return type(self)(self._made[0], wrong, looked_at=looked_at)


def named(wrong: Mapping[int, Fault], places: Places | None) -> list[Fault]:
    """The faults of the first examples, each with its file and line, or where these are not known with its row."""
    faults = []
    for index, fault in islice(wrong.items(), FAULTS_NAMED):
        file, line = (places or {}).get(index, ("", None))
        found = fault.found + ("" if line is not None else f" in row {index + 1}")
        faults.append(replace(fault, found=found, file=file, line=line))
    return faults


def how_many(wrong: int, looked_at: int) -> str:
    """So many of so many, in words; ``looked_at`` is 0 where that is not known."""
    return f"{wrong:,} of " + (f"{looked_at:,} ({wrong / looked_at:.1%})" if looked_at else "them")

"""What is wrong with some examples, told by their index until somebody knows where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

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

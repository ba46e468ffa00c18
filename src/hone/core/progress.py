"""`Progress`: where long work says how far it is. The command draws it; the library stays silent by default."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by long work how far it is."""

    def say(self, words: str) -> None:
        """One sentence for the user."""
        ...

    def begin(self, what: str, *, total: int, unit: str) -> None:
        """A new piece of work of ``total`` units starts."""
        ...

    def advance(self, units: int, **figures: float) -> None:
        """``units`` more are done; ``figures`` are shown beside (loss, tokens/s)."""
        ...

    def finish(self) -> None:
        """The piece of work is over."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def say(self, words: str) -> None:
        pass

    def begin(self, what: str, *, total: int, unit: str) -> None:
        pass

    def advance(self, units: int, **figures: float) -> None:
        pass

    def finish(self) -> None:
        pass

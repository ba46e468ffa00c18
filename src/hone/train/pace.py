"""How fast a training goes."""

from __future__ import annotations

import time


class Pace:
    """Tokens a second of the steps since it was last told, without what is done between them."""

    def __init__(self) -> None:
        self._tokens, self._seconds, self._since = 0, 0.0, time.perf_counter()

    def go_on(self) -> None:
        """What was done since the last step is no part of the next one."""
        self._since = time.perf_counter()

    def add(self, tokens: int) -> None:
        """A step of so many tokens is done."""
        now = time.perf_counter()
        self._tokens, self._seconds, self._since = self._tokens + tokens, self._seconds + now - self._since, now

    @property
    def tokens_per_s(self) -> float:
        return self._tokens / max(self._seconds, 1e-9)

    def tell(self) -> None:
        """It is told: begin again, with no steps."""
        self._tokens, self._seconds = 0, 0.0

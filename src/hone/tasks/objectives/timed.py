"""`Timed`: what is learned, and changes while it is."""

from __future__ import annotations

from hone.models.noise import Noise


class Timed:
    """Knows how far its training is, of which the loop tells it before the first step."""

    _clock: Noise | None = None
    _steps = 1

    def timed(self, clock: Noise, *, steps: int) -> None:
        """The training has so many steps; ``clock`` says which it is, in a resumed run as in an unbroken one."""
        self._clock, self._steps = clock, steps

    @property
    def done(self) -> float:
        """The share of the steps that lies behind; 1 where there is no training."""
        return 1.0 if self._clock is None else min(1.0, self._clock.step / self._steps)

    def risen(self, weight: float, *, over: float) -> float:
        """A weight that rises in a line from nothing over the first part of the steps, as it is at this one."""
        return weight * min(1.0, self.done / over) if over else weight

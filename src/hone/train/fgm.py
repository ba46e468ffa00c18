"""``fgm``: each batch is learned again with its word embeddings moved against it (Miyato et al. 2017)."""

from __future__ import annotations

from hone.tasks.rows import Batch
from hone.train.perturbed import Perturbed, directions
from hone.train.technique import Course, Pass, Technique
from hone.train.techniques import FgmSettings


class Fgm(Technique):
    """Adds ``weight`` times the loss at ``e + epsilon s g / |g|``, where ``e`` are the embedded words of one example,
    ``g`` is the derivative of its loss by them and ``s`` the standard deviation of the table: one direction an example,
    of norm one over all its words.

    Args:
        settings: How far embeddings are moved, and the weight of the loss there.
        course: Whose embeddings they are.
    """

    def __init__(self, settings: FgmSettings, course: Course) -> None:
        self._perturbed = Perturbed(course.model)
        self._length, self._weight = settings.epsilon * self._perturbed.spread, settings.weight

    def on_batch(self, batch: Batch, step: int) -> None:
        self._perturbed.begin()

    def on_derivatives(self, seen: Pass) -> None:
        self._perturbed.move = self._length * directions(self._perturbed.gradient())
        _, loss = seen.again()
        seen.backward(self._weight * loss.total)
        self._perturbed.end()

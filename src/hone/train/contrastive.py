"""``contrastive``: texts of one label are drawn together, those of others apart (Gunel et al. 2021; Khosla et al.
2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hone.tasks.embedding_losses import supervised
from hone.tasks.rows import Batch
from hone.train.probe import probed
from hone.train.technique import Course, Pass, Technique
from hone.train.techniques import ContrastiveSettings


class Contrastive(Technique):
    """``(1 - weight) loss + weight * contrast``, of what the last layer reads of each text of a batch.

    Args:
        settings: Weight and temperature.
        course: Whose last layer it is.
    """

    def __init__(self, settings: ContrastiveSettings, course: Course) -> None:
        self._settings, self._layer = settings, probed(course.model)
        self._read: list[Tensor] = []

    def on_batch(self, batch: Batch, step: int) -> None:
        def read(_: Any, given: tuple[Tensor, ...]) -> None:
            self._read.append(given[0])

        self._hook = self._layer.register_forward_pre_hook(read)

    def on_loss(self, loss: Tensor, seen: Pass) -> Tensor:
        self._hook.remove()
        states, labels = self._read[0].float(), seen.batch["label"]  # of the first pass, where others were made
        self._read.clear()
        apart = supervised(states, labels, temperature=self._settings.temperature)
        weight = self._settings.weight
        return (1 - weight) * loss + weight * apart * seen.loss.weight / len(labels)

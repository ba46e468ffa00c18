"""``freelb``: each batch is learned at several moves of its word embeddings, each worse than the one before (Zhu et
al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from hone.models.noise import Noise, draw_again, drawing_state
from hone.tasks.rows import Batch
from hone.train.perturbed import Perturbed, directions
from hone.train.technique import Course, Pass, Technique
from hone.train.techniques import FreelbSettings


class Freelb(Technique):
    """The mean of the losses at ``e + d_1`` to ``e + d_steps``: ``d_1`` is drawn evenly, each next one is the last
    moved by ``rate`` along the derivative there, and no longer than ``radius``; all in standard deviations of the
    table, by norms over all words of an example. As in the paper, all passes of a batch have the same masks of dropout.

    Args:
        settings: How many passes, and how far embeddings are moved.
        course: Whose embeddings they are.
    """

    def __init__(self, settings: FreelbSettings, course: Course) -> None:
        self._settings, self._noise = settings, course.model.noise
        self._perturbed = Perturbed(course.model)
        self._given, self._random = 0, list[Tensor]()

    def on_batch(self, batch: Batch, step: int) -> None:
        table = self._perturbed.begin()
        real = batch["attention_mask"].unsqueeze(2).to(table.dtype)  # [rows, tokens, 1]
        shape = (*batch["attention_mask"].shape, table.shape[1])
        drawn = 2 * Noise.even(self._noise.ticket(), shape).to(real.device) - 1
        length = self._settings.start * self._perturbed.spread
        self._perturbed.move = drawn * real * length / (real.sum((1, 2), keepdim=True) * table.shape[1]).sqrt()
        self._given, self._random = self._noise.given, drawing_state()

    def on_loss(self, loss: Tensor, seen: Pass) -> Tensor:
        return loss / self._settings.steps

    def on_derivatives(self, seen: Pass) -> None:
        for _ in range(self._settings.steps - 1):
            self._ascend()
            draw_again(self._random)
            with self._noise.back_at(self._given):
                _, loss = seen.again()
            seen.backward(loss.total / self._settings.steps)
        self._perturbed.end()

    def _ascend(self) -> None:
        move, spread = self._perturbed.move, self._perturbed.spread
        assert move is not None
        move = move + self._settings.rate * spread * directions(self._perturbed.gradient())
        if self._settings.radius is not None:
            norms = torch.linalg.vector_norm(move, dim=(1, 2), keepdim=True)
            move = move * (self._settings.radius * spread / norms.clamp(min=1e-12)).clamp(max=1.0)
        self._perturbed.move = move

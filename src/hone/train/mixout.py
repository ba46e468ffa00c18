"""``mixout``: at each step some weights are what pretraining left, as dropout sets some units to zero (Lee et al.
2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hone.core.errors import RecipeError
from hone.models.noise import Noise, Ticket
from hone.train.optimizer import inner_matrices, new_parameters
from hone.train.technique import Course, Technique
from hone.train.techniques import MixoutSettings

PART = 1 << 20  # tells its masks from dropout's, which number their parts from 0


class Mixout(Technique):
    """A step is computed with ``u + m (w - u)`` in place of ``w``, the weights of the backbone's linear layers, where
    ``u`` is what they were before training and ``m`` is 0 with probability ``p``, else ``1 / (1 - p)``: its expected
    value is ``w``. All batches of a step have the same ``m``.

    Args:
        settings: The probability.
        course: Whose weights they are, those that learn and are not new; the scores over a vocabulary are left out, as
            its table is.

    Raises:
        RecipeError: There are none.
    """

    def __init__(self, settings: MixoutSettings, course: Course) -> None:
        self._p, self._seed = settings.p, course.seed
        new = new_parameters(course.model)
        inner = inner_matrices(course.model) - new
        layers = (m for m in course.model.backbone.modules() if isinstance(m, nn.Linear | Conv1D))
        self._weights = [m.weight for m in layers if m.weight.requires_grad and id(m.weight) in inner]
        if not self._weights:
            raise RecipeError(
                "mixout, and a base in which no linear layer learns",
                expected="a transformer of which some layers learn",
                fix="Leave mixout out.",
                code="recipe.mixout",
            )
        self._before = [weight.detach().clone() for weight in self._weights]
        self._own: list[tuple[Tensor, Tensor]] = []  # within a step: each weight's own values, and its mask

    def on_begin(self, step: int) -> None:
        for i, (weight, before) in enumerate(zip(self._weights, self._before, strict=True)):
            mask = self._mask(weight.data, (self._seed, step, i))
            self._own.append((weight.data, mask))
            weight.data = torch.lerp(before.to(weight.device), weight.data, mask)

    def _mask(self, values: Tensor, ticket: Ticket) -> Tensor:
        if values.device.type != "cpu":
            seed, step, given = ticket
            return Noise.mask_like(values, ticket=(seed, step, PART + given), drop=self._p)
        return Noise.mask(ticket, tuple(values.shape), drop=self._p, part=PART)

    def on_backward(self) -> None:
        for weight, (own, mask) in zip(self._weights, self._own, strict=True):
            weight.data = own
            if weight.grad is not None:
                weight.grad.mul_(mask)
        self._own.clear()

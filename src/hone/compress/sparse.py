"""``sparse``: single weights of the encoder's linear layers become zero, more and more of them while the rest learns.

The share that is zero rises as ``s (1 - (1 - t)^3)`` over the first part of the training (Zhu and Gupta 2017) and holds
for the rest of it. It is the same in every matrix: weights of different matrices are of different sizes, and a ranking
over all empties those that are small throughout. A weight that is zero keeps its value behind the mask and comes back
when it ranks higher again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hone.compress.int8 import require_float
from hone.compress.recover import encoder_of, lesson, linear_layers, recover, training
from hone.compress.recovery import SparseSettings
from hone.compress.start import Made, Start
from hone.models.encoder import Encoder
from hone.models.shapes import linear
from hone.models.sparse import zero_share

RISING = 0.7  # share of the training over which the share of zeros rises
STEPS_BETWEEN = 8  # choosing anew


def thin_out(settings: SparseSettings, start: Start) -> Made:
    """Set weights to zero, and let the rest learn.

    Raises:
        RecipeError: The bundle's layers are not known here, or there are no texts to learn from.
    """
    require_float(start)
    model, encoder = start.model, encoder_of(start, "sparse")
    facts: dict[str, Any] = {}
    if settings.num_train_epochs:
        facts["seconds"] = _gradually(settings, start, encoder)
    else:
        model.to("cpu")
        for module, name, whole in linear_layers(encoder):
            setattr(module, name, linear(whole.weight * largest(whole.weight.abs(), settings.sparsity), whole.bias))
    weights = [layer.weight for _, _, layer in linear_layers(encoder)]
    zeros = sum(zero_share(weight) * weight.numel() for weight in weights) / sum(w.numel() for w in weights)
    return Made(model.to("cpu").eval(), start.task, {"zero_share": round(zeros, 4), **facts})


def _gradually(settings: SparseSettings, start: Start, encoder: Encoder) -> float:
    """Zeros come in while the model learns; returns the seconds."""
    model, taught = start.model, lesson(start)
    torch.manual_seed(start.run.seed)
    masked = [
        (module, name, Masked(layer, moves=settings.by == "movement")) for module, name, layer in linear_layers(encoder)
    ]
    layers = [layer for _, _, layer in masked]
    for module, name, layer in masked:
        setattr(module, name, layer)
    _, total = training(settings).steps(taught.rows.lengths)

    def choose(*_: Any) -> None:
        step = model.noise.step
        if model.training and step % STEPS_BETWEEN == 0:
            for layer in layers:
                layer.choose(risen(step, total=total, end=settings.sparsity))

    hook = model.register_forward_pre_hook(choose)
    seconds = recover(model, taught, start, settings=settings, method="sparse").seconds
    hook.remove()
    for module, name, layer in masked:
        layer.choose(settings.sparsity)  # where training was so short that none was due after the rise
        setattr(module, name, linear(layer.weight, layer.bias))
    return round(seconds, 1)


def risen(step: int, *, total: int, end: float) -> float:
    """The share of zeros at ``step``, from 0, of ``total``."""
    left = max(0.0, 1.0 - (step + 1) / max(1.0, RISING * total))
    return end * (1.0 - left**3)


def largest(scores: Tensor, gone: float) -> Tensor:
    """A mask like ``scores``, float32: 1 for all but the share ``gone`` of them, the lowest; of equals the first."""
    mask = torch.ones(scores.numel(), device=scores.device)
    mask[scores.flatten().argsort(stable=True)[: round(gone * scores.numel())]] = 0.0
    return mask.view_as(scores)


class Masked(nn.Module):
    """A linear layer that learns under a mask.

    ``weight`` is ``raw * mask``. The gradient of ``raw`` is that of ``weight`` where the mask is 1. With ``moves``,
    ``-raw * gradient`` of ``weight`` is summed up over the steps, under the mask too: above zero where training moves
    the weight away from zero.

    Args:
        layer: The layer that it stands for.
        moves: Choose by that sum, in place of the weights' magnitude.
    """

    mask: Tensor
    moved: Tensor

    def __init__(self, layer: nn.Linear, *, moves: bool) -> None:
        super().__init__()
        self.raw, self.bias, self._moves = layer.weight, layer.bias, moves
        self.register_buffer("mask", torch.ones_like(layer.weight))
        self.register_buffer("moved", torch.zeros_like(layer.weight) if moves else None)

    @property
    def weight(self) -> Tensor:
        """Float32 [outputs, inputs]."""
        out: Tensor = _Mask.apply(self.raw, self.mask, self.moved)  # type: ignore[no-untyped-call]
        return out

    @property
    def in_features(self) -> int:
        """Inputs."""
        return self.raw.shape[1]

    @property
    def out_features(self) -> int:
        """Outputs."""
        return self.raw.shape[0]

    def choose(self, gone: float) -> None:
        """Mask that share of the weights."""
        self.mask.copy_(largest(self.moved if self._moves else self.raw.detach().abs(), gone))

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, self.weight, self.bias)


class _Mask(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor, mask: Tensor, moved: Tensor | None) -> Tensor:
        ctx.save_for_backward(raw, mask)
        ctx.moved = moved
        return raw * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raw, mask = ctx.saved_tensors
        if ctx.moved is not None:
            ctx.moved.addcmul_(raw, gradients[0], value=-1.0)
        return gradients[0] * mask, None, None

"""A layer whose inner results are not kept for the way back but made again there (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hone.models.noise import Noise

Run = Callable[[Tensor], Tensor]


class _Recomputed(torch.autograd.Function):
    """torch's own checkpoint keeps the graph of a first pass, and with it whatever the blocks of
    `hone.models.blocks` hold beside saved tensors; this one keeps the states before the layer alone."""

    @staticmethod
    def forward(ctx: Any, run: Run, noise: Noise, states: Tensor, *weights: Tensor) -> Tensor:
        ctx.run, ctx.noise, ctx.given = run, noise, noise.given
        ctx.save_for_backward(states, *weights)
        with torch.no_grad():
            return run(states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        states, *weights = ctx.saved_tensors
        needs, weights_need = ctx.needs_input_grad[2], ctx.needs_input_grad[3:]
        again = states.detach().requires_grad_(needs)
        with torch.enable_grad(), ctx.noise.back_at(ctx.given):  # under the masks of the first pass
            made = ctx.run(again)
        wanted = [weight for weight, need in zip(weights, weights_need, strict=True) if need]
        found = iter(torch.autograd.grad(made, [again, *wanted] if needs else wanted, gradients))
        to_states = next(found) if needs else None
        return None, None, to_states, *(next(found) if need else None for need in weights_need)


def recomputed(run: Run, states: Tensor, layer: nn.Module, *, noise: Noise) -> Tensor:
    """``run(states)``, which computes ``layer`` with masks of ``noise``; the same derivatives, a second run of it, and
    of what it makes only the result is kept until then."""
    made: Tensor = _Recomputed.apply(run, noise, states, *layer.parameters())  # type: ignore[no-untyped-call]
    return made

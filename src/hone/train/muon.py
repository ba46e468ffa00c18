"""``muon``: the updates of matrices are made orthogonal (Jordan et al. 2024, "Muon: an optimizer for hidden layers in
neural networks"), all other weights are moved by AdamW.

A matrix's momentum is replaced by the nearest one whose singular values are all about alike, so that rare directions
of a gradient are learned as fast as frequent ones. As large as AdamW's updates usually are (Liu et al. 2025, "Muon is
scalable for LLM training"), it takes AdamW's rates and decay. torch's own `torch.optim.Muon` iterates in bfloat16,
which a CPU without an instruction for it multiplies slowly, and leaves other weights to a second optimizer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hone.models.cost import TURNS

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of an iteration that raises small singular values fastest
LIKE_ADAMW = 0.2  # root mean square of AdamW's updates, as a share of its rate
LEAST_NORM = 1e-7


class Muon(torch.optim.AdamW):
    """AdamW, but for the groups whose ``orthogonal`` is true: of those every parameter is a matrix.

    Their state is ``momentum``, and the ``step`` that AdamW looks for when a state is loaded.

    Args:
        groups: As AdamW takes them.
        settings: AdamW's.
    """

    def __init__(self, groups: Any, **settings: Any) -> None:
        super().__init__(groups, **settings)
        self._step_supports_amp_scaling = False  # a scaler leaves a step out itself: fused AdamW alone would know of it

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step; ``closure`` is AdamW's. The gradients of matrices are taken: they have none afterwards."""
        for group in self.param_groups:
            if group["orthogonal"]:
                self._turn(group)
        return super().step(closure)

    @torch.no_grad()
    def _turn(self, group: dict[str, Any]) -> None:
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                alike[weight.shape].append((weight, weight.grad))
                weight.grad = None
        for shape, pairs in alike.items():
            weights, gradients = ([pair[i] for pair in pairs] for i in (0, 1))
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            torch._foreach_lerp_(gradients, momenta, MOMENTUM)  # as Nesterov does: it looks one step ahead
            updates = orthogonal(torch.stack(gradients))
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, updates.unbind(), alpha=-group["lr"] * LIKE_ADAMW * max(shape) ** 0.5)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
        state["step"] += 1
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonal(matrices: Tensor) -> Tensor:
    """Of float [n, rows, columns], in their type: the same singular vectors, with singular values of 0.7 to 1.2 where
    one was more than a thousandth of its matrix's norm; of zeros zeros.

    An odd polynomial of a matrix is that of its singular values; five of degree five, one in the other, take all of
    them near one (Bernstein and Newhouse 2024). On a GPU it is computed in bfloat16.
    """
    a, b, c = COEFFICIENTS
    upright = matrices.shape[1] > matrices.shape[2]
    flat = matrices.mT if upright else matrices
    found = flat.bfloat16() if flat.device.type == "cuda" else flat
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=LEAST_NORM)
    for _ in range(TURNS):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return (found.mT if upright else found).to(matrices.dtype)

"""Several forward passes as one batch, for a loss that compares rows with one another (Gao et al. 2021).

The loss is taken over what all passes gave, without their derivatives; then each pass is made again and carries its
share of the loss's derivatives further. Memory is that of one pass, the gradient that of their union.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from hone.models.heads import Outputs
from hone.models.noise import draw_again, drawing_state
from hone.tasks.protocol import Loss
from hone.tasks.rows import Batch

SCORES = "logits"


def united(
    forward: Callable[[Batch], Outputs],
    batches: Sequence[Batch],
    *,
    loss: Callable[[Outputs, Batch], Loss],
    backward: Callable[[Tensor], None],
    begin: Callable[[], None],
) -> Loss:
    """The loss over the union of ``batches``, its derivatives taken.

    Args:
        forward: The model.
        loss: Over scores and the entries of a batch that are no longer than its rows or texts: what models read,
            padded, is not there.
        backward: Takes the derivatives of a scalar.
        begin: Called before each round of passes, so that both draw the same noise.
    """
    state = drawing_state()
    begin()
    with torch.no_grad():
        given = [forward(batch)[SCORES] for batch in batches]
    scores = torch.cat(given).float().requires_grad_()
    found = loss({SCORES: scores}, _union(batches))
    (pull,) = torch.autograd.grad(found.total, scores)
    draw_again(state)
    begin()
    shares = torch.split(pull, [len(part) for part in given])
    for batch, share in zip(batches, shares, strict=True):
        backward((forward(batch)[SCORES] * share).sum())
    return Loss(found.total.detach(), found.weight)


def _union(batches: Sequence[Mapping[str, Tensor]]) -> Batch:
    names = [name for name, value in batches[0].items() if value.ndim == 1]
    return {name: torch.cat([batch[name] for batch in batches]) for name in names}

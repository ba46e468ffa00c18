"""An embedding table whose gradient costs what the rows of a batch cost, not what the table costs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class TouchedEmbedding(nn.Embedding):
    """A table that, while it learns, gathers a batch's distinct rows and gives the gradient of those alone.

    It holds the very parameter of the table it stands for, which then gets no gradient of its own: whoever updates it
    takes the rows and their gradients by `take`. In evaluation, and while it does not learn, it is that table.

    Args:
        table: What it stands for.
        before_read: Called with the rows, int64 [distinct], before a forward pass of training reads them.
    """

    def __init__(self, table: nn.Embedding, *, before_read: Callable[[Tensor], None]) -> None:
        nn.Module.__init__(self)
        self.num_embeddings, self.embedding_dim = table.num_embeddings, table.embedding_dim
        self.padding_idx = table.padding_idx
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = None, 2.0, False, False
        self.weight = table.weight
        self._before_read = before_read
        self._read: list[tuple[Tensor, Tensor]] = []

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and self.weight.requires_grad):
            return super().forward(input)
        if not torch.is_grad_enabled():  # a first pass, to be made again: it reads what the second one will
            self._before_read(torch.unique(input))
            return super().forward(input)
        rows, place = torch.unique(input, return_inverse=True)
        self._before_read(rows)
        leaf = self.weight.detach()[rows].requires_grad_()
        self._read.append((rows, leaf))
        return functional.embedding(place, leaf)

    def take(self) -> tuple[Tensor, Tensor] | None:
        """What the backward passes since the last call left: distinct rows int64 [n], and their values float32
        [n, width] with ``grad`` set. None where there was none. The padding row has no gradient, as in torch."""
        read = [(rows, leaf) for rows, leaf in self._read if leaf.grad is not None]
        self._read.clear()
        if not read:
            return None
        if len(read) == 1:
            rows, leaf = read[0]
        else:  # several batches make one step
            rows, place = torch.unique(torch.cat([rows for rows, _ in read]), return_inverse=True)
            leaf = self.weight.detach()[rows]
            gradient = torch.zeros_like(leaf).index_add_(0, place, torch.cat([_gradient(leaf) for _, leaf in read]))
            leaf.requires_grad_().grad = gradient
        if self.padding_idx is not None:
            _gradient(leaf)[rows == self.padding_idx] = 0.0
        return rows, leaf


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad

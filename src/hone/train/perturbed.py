"""Word embeddings of a batch moved on their way into the model: what adversarial training rests on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hone.models.model import Model

SMALL = 1e-12  # a norm below it is no direction


class Perturbed:
    """Stands on the output of a model's word-embedding table, before positions and norm, from `begin` to `end`.

    Attributes:
        spread: Standard deviation of the table before training, in whose units moves are stated: the paper normalizes
            embeddings by it.
        move: Added to what the table gives, float32 [rows, tokens, width]; None: nothing is.

    Args:
        model: Whose table it is; it may be replaced between batches.
    """

    def __init__(self, model: Model) -> None:
        self._backbone: Any = model.backbone
        self._outputs: list[Tensor] = []
        table: Any = model.backbone.get_input_embeddings()  # type: ignore[operator]
        self.spread = float(table.weight.detach().std())
        self.move: Tensor | None = None

    def begin(self) -> Tensor:
        """From now on every forward pass goes through here; returns the table, [words, width]."""
        embedding = self._backbone.get_input_embeddings()
        self._hook = embedding.register_forward_hook(self._through)
        table: Tensor = embedding.weight
        return table

    def end(self) -> None:
        """Leave the model as it was."""
        self._hook.remove()
        self._outputs.clear()
        self.move = None

    def _through(self, _module: Any, _given: Any, output: Tensor) -> Tensor:
        if self.move is not None:
            output = output + self.move
        if not output.requires_grad:  # of a table that does not learn
            output = output.detach().requires_grad_()
        output.retain_grad()
        self._outputs.append(output)
        return output

    def gradient(self) -> Tensor:
        """The derivative of all losses since the last call by what the model read, [rows, tokens, width]."""
        found = [output.grad for output in self._outputs if output.grad is not None]
        self._outputs.clear()
        return torch.stack(found).sum(0)


def directions(gradient: Tensor) -> Tensor:
    """Of each row [tokens, width], its direction: of norm one over all its tokens together, or zero."""
    norms = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True)
    return torch.where(norms > SMALL, gradient / norms.clamp(min=SMALL), 0.0)

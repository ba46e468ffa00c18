"""Word embeddings of a batch moved on their way into the model: what adversarial training rests on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hone.models.model import Model

SMALL = 1e-12  # a norm below it is no direction


class Perturbed:
    """Stands on the output of a model's word-embedding table, before positions and norm, from `begin` to `end`; of one
    that reads one text and writes another, where the text that is read is embedded.

    Attributes:
        spread: Standard deviation of the table before training, as the model scales it, in whose units moves are
            stated: the paper normalizes embeddings by it.
        move: Added to what the table gives, float32 [rows, tokens, width]; None: nothing is.

    Args:
        model: Whose table it is; it may be replaced between batches.
    """

    def __init__(self, model: Model) -> None:
        self._backbone: Any = model.backbone
        self._outputs: list[Tensor] = []
        place, table = entrance(self._backbone)
        self.spread = float(table.detach().std()) * float(getattr(place, "embed_scale", 1.0))
        self.move: Tensor | None = None

    def begin(self) -> Tensor:
        """From now on every forward pass goes through here; returns the table, [words, width]."""
        place, table = entrance(self._backbone)
        self._hook = place.register_forward_hook(self._through)
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


def entrance(backbone: Any) -> tuple[nn.Module, Tensor]:
    """The module that gives the embedded words of the text that is read, and the table they are from, [words, width].
    Of transformers' models that write, encoder and decoder each call a table of their own, though both share its
    weights; a net may embed both sides by one."""
    place = getattr(backbone, "source_words", None)
    if place is not None:
        return place, backbone.get_input_embeddings().weight
    reads = backbone.get_encoder() if getattr(backbone.config, "is_encoder_decoder", False) else backbone
    table = reads.get_input_embeddings()
    return table, table.weight


def directions(gradient: Tensor) -> Tensor:
    """Of each row [tokens, width], its direction: of norm one over all its tokens together, or zero."""
    norms = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True)
    return torch.where(norms > SMALL, gradient / norms.clamp(min=SMALL), 0.0)

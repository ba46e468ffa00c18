"""How much the loss would miss a head, an inner unit or a layer, measured on labeled rows.

A mask of ones is put over what heads and inner units give. The derivative of a row's loss by one entry of it says, to
first order, how much the loss changes when that entry becomes zero (Molchanov et al. 2017; Michel et al. 2019). Its
absolute value is summed over the rows, so that what helps one row and harms another counts as needed. All are changes
of the same loss, so that those of different layers are compared as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hone.compress.start import Start
from hone.models.encoder import Encoder
from hone.models.model import Model
from hone.predict.batching import budgeted
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.rows import Batch, IntArray, Rows

TOKENS_AT_ONCE = 2048  # padded tokens of a batch with derivatives


class Importance(NamedTuple):
    """Of each layer, float64: of its heads [heads], and of its inner units [units]; the sum over the rows."""

    heads: list[Tensor]
    inner: list[Tensor]


class Measured:
    """Labeled rows, and the loss of a model on them.

    Args:
        rows: Encoded rows with labels.
        index: Which of them to measure on.
    """

    def __init__(self, start: Start, rows: Rows, index: IntArray, *, device: torch.device) -> None:
        self._task: Task = start.task
        self._rows, self._index, self._device = rows, index, device
        self._say = start.run.progress

    def batches(self, what: str) -> Iterator[Batch]:
        """The rows in batches, with progress told as ``what``."""
        self._say.begin(what, total=len(self._index), unit="row")
        for part in budgeted(self._rows.lengths[self._index], tokens=TOKENS_AT_ONCE):
            batch = self._task.collate(self._rows, self._index[part])
            yield {name: value.to(self._device) for name, value in batch.items()}
            self._say.advance(len(part))
        self._say.finish()

    def total(self, model: Model, batch: Batch) -> Tensor:
        """The task's loss summed over a batch."""
        return self._task.loss(model(batch), batch, options=LossOptions()).total

    def loss(self, model: Model, what: str) -> float:
        """The same over all the rows."""
        with torch.inference_mode():
            return sum(float(self.total(model, batch)) for batch in self.batches(what))


def importance(model: Model, measured: Measured) -> Importance:
    """Of every head and inner unit of ``model``, which is left as it was."""
    encoder = model.encoder
    assert encoder is not None
    layers: Sequence[Any] = list(encoder.layer)
    size = encoder.head_size
    heads = [torch.zeros(encoder.heads(layer), dtype=torch.float64) for layer in layers]
    inner = [torch.zeros(layer.intermediate.dense.out_features, dtype=torch.float64) for layer in layers]
    learns = [parameter.requires_grad for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    with encoder.aside(), _masked(encoder) as masks:
        for batch in measured.batches("measuring heads and inner units"):
            masks.clear()
            measured.total(model, batch).backward()  # type: ignore[no-untyped-call]
            for i, layer in enumerate(layers):
                over_heads, over_inner = (_gradient(masks[part]) for part in (_given(layer)))
                heads[i] += over_heads.view(len(over_heads), -1, size).sum(2).abs().sum(0)
                inner[i] += over_inner.abs().sum(0)
    for parameter, learned in zip(model.parameters(), learns, strict=True):
        parameter.requires_grad_(learned)
    return Importance(heads, inner)


def layer_losses(model: Model, measured: Measured) -> list[float]:
    """The loss without each of the layers."""
    encoder = model.encoder
    assert encoder is not None
    model.eval()
    losses = []
    for i in range(len(encoder.layer)):
        with encoder.without(i):
            losses.append(measured.loss(model, f"measuring without layer {i + 1}"))
    return losses


def _given(layer: Any) -> tuple[nn.Module, nn.Module]:
    """The modules that read what a layer's heads give, and what its inner units give."""
    return layer.attention.output.dense, layer.output.dense


def _gradient(mask: Tensor) -> Tensor:
    assert mask.grad is not None
    return mask.grad.double().cpu()


@contextmanager
def _masked(encoder: Encoder) -> Iterator[dict[nn.Module, Tensor]]:
    """Within it a mask of ones, float32 [rows, units], lies over what heads and inner units give; the last ones."""
    masks: dict[nn.Module, Tensor] = {}

    def over(module: nn.Module) -> Callable[..., tuple[Tensor]]:
        def mask(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
            states = given[0]  # [rows, tokens, units]
            masks[module] = torch.ones(len(states), states.shape[2], device=states.device, requires_grad=True)
            return (states * masks[module].unsqueeze(1),)

        return mask

    hooks = [part.register_forward_pre_hook(over(part)) for layer in encoder.layer for part in _given(layer)]
    try:
        yield masks
    finally:
        for hook in hooks:
            hook.remove()

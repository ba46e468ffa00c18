"""What goes through a model's layers on given texts: means and covariances, taken while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hone.models.model import Model

SMALL = 1e-12  # a normalized direction that varies less does not vary


class Moments:
    """Running first and second moments of vectors [n, width] in float64.

    Args:
        joint: Whether covariances are taken, or variances alone.
    """

    def __init__(self, *, joint: bool) -> None:
        self._joint, self._count = joint, 0
        self._sum: Tensor = torch.zeros(())
        self._square: Tensor = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take in more vectors."""
        self._count += len(values)
        self._sum = self._sum + values.sum(0)
        self._square = self._square + (values.T @ values if self._joint else values.square().sum(0))

    def mean(self) -> Tensor:
        """[width]"""
        return self._sum / self._count

    def covariance(self) -> Tensor:
        """[width, width]"""
        return self._square / self._count - torch.outer(self.mean(), self.mean())

    def variance(self) -> Tensor:
        """[width]"""
        square = self._square.diagonal() if self._joint else self._square
        return (square / self._count - self.mean().square()).clamp(min=0.0)


class Watch:
    """Looks on while a model runs through transformers' own layers, which it does in float64.

    Args:
        model: In float64 on the CPU, in evaluation mode, its encoder ours.

    Attributes:
        layers: The encoder's.
        streams: The layer norms between halves of layers, whose outputs are the states.
        head_size: Width of an attention head.
    """

    def __init__(self, model: Model) -> None:
        assert model.encoder is not None
        self.model = model
        self.layers: list[Any] = list(model.encoder.layer)
        halves = [norm for layer in self.layers for norm in _norms(layer)]
        self.streams: list[nn.Module] = [model.embeddings.LayerNorm, *halves]
        config: Any = model.backbone.config
        self.head_size = int(config.hidden_size // config.num_attention_heads)
        self._real = torch.ones(0, dtype=torch.bool)

    def run(self, batch: Mapping[str, Tensor]) -> None:
        """Let the model run."""
        self._real = batch["attention_mask"].bool()
        self.model({name: v.double() if v.is_floating_point() else v for name, v in batch.items()})

    @contextmanager
    def moments(self) -> Iterator[dict[nn.Module, Moments]]:
        """Within it runs are taken in: of what comes out of each norm, and of what goes into each linear layer that
        adds to the states or stands last in the head."""
        found = {norm: Moments(joint=True) for norm in self.streams}
        hooks = [norm.register_forward_hook(self._outputs(found[norm].add)) for norm in self.streams]
        ends: list[Any] = [(layer.output.dense, False) for layer in self.layers]
        ends += [(layer.attention.output.dense, True) for layer in self.layers]
        first, last = self.own_head(self.model)
        ends += [(last, False)] if first is not None else []
        for linear, joint in ends:
            found[linear] = Moments(joint=joint)
            hooks.append(linear.register_forward_pre_hook(self._inputs(found[linear].add)))
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def norms(self, basis: Tensor) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
        """Within it runs are taken in; afterwards, of each norm, the gain and shift [narrow] that bring the normalized
        projection of what goes in nearest to the projection of what comes out."""
        found: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        fits = {norm: _Fit(basis, eps=float(norm.eps)) for norm in self.streams}  # type: ignore[arg-type]
        hooks = [norm.register_forward_hook(self._both(fits[norm].add)) for norm in self.streams]
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()
        found.update({norm: fit.solved() for norm, fit in fits.items()})

    def own_head(self, model: Model) -> tuple[Any, Any]:
        """The linear layers of transformers' own head: the first of two, or None, and the last; none where the head is
        ours."""
        backbone: Any = model.backbone
        if model.head.gives != "logits":
            return None, None
        classifier = backbone.classifier
        if not isinstance(classifier, nn.Linear):
            return classifier.dense, classifier.out_proj
        pooler = getattr(getattr(backbone, backbone.base_model_prefix), "pooler", None)
        return (None if pooler is None else pooler.dense), classifier

    def _flat(self, values: Tensor) -> Tensor:
        """Tokens that are no padding [n, width]; of a head, whose inputs are one a row, all."""
        return values[self._real] if values.ndim == 3 else values

    def _inputs(self, take: Callable[[Tensor], None]) -> Any:
        return lambda _, given: take(self._flat(given[0]))

    def _outputs(self, take: Callable[[Tensor], None]) -> Any:
        return lambda _, __, out: take(self._flat(out))

    def _both(self, take: Callable[[Tensor, Tensor], None]) -> Any:
        return lambda _, given, out: take(self._flat(given[0]), self._flat(out))


def _norms(layer: Any) -> tuple[nn.Module, nn.Module]:
    return layer.attention.output.LayerNorm, layer.output.LayerNorm


class _Fit:
    """Least squares of one gain and shift a direction."""

    def __init__(self, basis: Tensor, *, eps: float) -> None:
        self._basis, self._eps = basis, eps
        self._count = 0
        self._sums: Tensor = torch.zeros(4, 1)

    def add(self, given: Tensor, wanted: Tensor) -> None:
        """What goes into the wide norm and what comes out, each [n, wide]."""
        x = nn.functional.layer_norm(given @ self._basis, self._basis.shape[1:], eps=self._eps)
        y = wanted @ self._basis
        self._count += len(x)
        self._sums = self._sums + torch.stack([x.sum(0), y.sum(0), x.square().sum(0), (x * y).sum(0)])

    def solved(self) -> tuple[Tensor, Tensor]:
        x, y, square, product = self._sums / self._count
        gain = (product - x * y) / (square - x.square()).clamp(min=SMALL)
        return gain, y - gain * x

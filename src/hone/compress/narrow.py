"""A model of fewer directions, heads and inner units that starts from what the wide one does on given texts.

The states between layers are projected onto their first principal directions (SliceGPT, Ashkboos et al. 2024); heads
and inner units stay by how much they add to the states. A layer norm between the layers of a BERT does not commute with
a projection, so this is an approximation, and training follows. Two things keep it near: the basis has no part along
(1, ..., 1), which the norm takes away, and each norm's gain and shift are fitted by least squares. What is left out is
not zero but its mean, which goes into biases.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from hone.compress.moments import Moments, Watch
from hone.models.heads import HeadSpec
from hone.models.model import Model
from hone.predict.batching import budgeted
from hone.tasks.protocol import Task
from hone.tasks.rows import IntArray, Rows

TOKENS = 8192  # that the directions are measured on, about


@dataclass(frozen=True)
class Narrowed:
    """The narrow model, and how its states are brought back: ``states @ basis.T + shift``.

    Attributes:
        basis: float32 [width, narrow width].
        shift: float32 [width].
    """

    model: Model
    basis: Tensor
    shift: Tensor


def narrowed(model: Model, task: Task, rows: Rows, *, width: int, inner: int) -> Narrowed:
    """``model`` with states of ``width`` and ``inner`` units a layer, its heads as large as before.

    Args:
        model: One whose encoder is ours, on the CPU; left as it is.
        rows: What its states are measured on, some of them if they are many.
        width: A multiple of the heads' size, at most the model's.
        inner: At most the model's.
    """
    wide = copy.deepcopy(model).eval().double()  # in float64 the layers of transformers run, which can be watched
    index = _sample(rows)
    watch = Watch(wide)
    had = int(cast(Any, model.backbone).config.hidden_size)
    batches = [task.collate(rows, index[part]) for part in budgeted(rows.lengths[index])]
    with watch.moments() as seen, torch.no_grad():
        for batch in batches:
            watch.run(batch)
    basis = torch.eye(had, dtype=torch.float64) if width == had else _basis(watch, seen, width=width)
    with watch.norms(basis) as norms, torch.no_grad():
        for batch in batches:
            watch.run(batch)
    fill = _Filling(watch, seen, norms, basis=basis, inner=inner)
    new = fill.made(model, task.head)
    shift = torch.stack([fill.rest(norm) for norm in watch.streams]).mean(0)
    return Narrowed(new, basis.float(), shift.float())


def _sample(rows: Rows) -> IntArray:
    """Rows evenly spread, about `TOKENS` tokens of them."""
    count = min(len(rows), max(1, int(TOKENS / rows.lengths.mean())))
    return np.unique(np.linspace(0, len(rows) - 1, count).round().astype(np.int64))


def _basis(watch: Watch, seen: dict[nn.Module, Moments], *, width: int) -> Tensor:
    """The ``width - 1`` first principal directions of the states, every place between halves of layers counting alike,
    turned so that none has a part along (1, ..., 1): float64 [wide, width]."""
    covered = [seen[norm].covariance() for norm in watch.streams]
    shared = torch.stack([each / each.trace() for each in covered]).mean(0)
    directions = torch.linalg.eigh(shared).eigenvectors.flip(1)[:, : width - 1]
    mirror = torch.full((width,), width**-0.5, dtype=torch.float64)
    mirror[-1] -= 1.0
    turned = torch.eye(width, dtype=torch.float64) - 2 * torch.outer(mirror, mirror) / mirror.dot(mirror)
    basis: Tensor = directions @ turned[:, : width - 1].T  # a Householder reflection takes the last axis to (1, ..., 1)
    return basis


class _Filling:
    """Fills a narrow model with what it takes over from a wide one.

    Args:
        seen: Of each watched module, moments of what goes into a linear layer or comes out of a norm.
        norms: Of each layer norm, gain and shift in the narrow model.
    """

    def __init__(
        self,
        watch: Watch,
        seen: dict[nn.Module, Moments],
        norms: dict[nn.Module, tuple[Tensor, Tensor]],
        *,
        basis: Tensor,
        inner: int,
    ) -> None:
        self._watch, self._seen, self._norms, self._basis, self._inner = watch, seen, norms, basis, inner
        self._filled: set[int] = set()

    def made(self, model: Model, spec: HeadSpec) -> Model:
        """The narrow model in evaluation mode."""
        wide, width = self._watch.model, self._basis.shape[1]
        old: Any = wide.backbone
        config = copy.deepcopy(old.config)
        size = self._watch.head_size
        config.hidden_size, config.intermediate_size, config.num_attention_heads = width, self._inner, width // size
        config.dtype = torch.float32
        backbone = type(cast(Any, model.backbone))(config)
        if getattr(old, "pooler", True) is None:
            backbone.pooler = None
        drop = next((part.p for part in model.head.modules() if isinstance(part, nn.Dropout)), 0.0)
        head = type(model.head)(spec.labels, width=width, dropout=drop, **spec.settings)
        new = Model(backbone, head)
        self._embeddings(new.embeddings)
        assert new.encoder is not None
        before = wide.embeddings.LayerNorm
        for layer, into in zip(self._watch.layers, new.encoder.layer, strict=True):
            self._layer(cast(Any, layer), into, before=before)
            before = cast(Any, layer).output.LayerNorm
        self._head(new, before=before)
        left = [name for name, value in new.named_parameters() if id(value) not in self._filled]
        assert not left, f"nothing was taken over for {left}"
        return new.eval()

    def rest(self, norm: nn.Module) -> Tensor:
        """What the directions left out are on average after ``norm``, [wide]."""
        mean = self._seen[norm].mean()
        return mean - self._basis @ (self._basis.T @ mean)

    def _put(self, into: Any, **values: Tensor) -> None:
        for name, value in values.items():
            parameter = getattr(into, name)
            assert parameter.shape == value.shape, (name, parameter.shape, value.shape)
            parameter.data.copy_(value)
            self._filled.add(id(parameter))

    def _embeddings(self, into: Any) -> None:
        old = self._watch.model.embeddings
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            self._put(getattr(into, name), weight=getattr(old, name).weight @ self._basis)
        self._norm(old.LayerNorm, into.LayerNorm)

    def _norm(self, norm: nn.Module, into: Any) -> None:
        gain, shift = self._norms[norm]
        self._put(into, weight=gain, bias=shift)

    def _layer(self, old: Any, into: Any, *, before: nn.Module) -> None:
        own, out, size = old.attention.self, old.attention.output, self._watch.head_size
        heads = _heads_kept(out.dense, self._seen[out.dense], size=size, count=self._basis.shape[1] // size)
        for name in ("query", "key", "value"):
            self._reads(getattr(own, name), getattr(into.attention.self, name), before=before, units=heads)
        self._writes(out.dense, into.attention.output.dense, units=heads)
        self._norm(out.LayerNorm, into.attention.output.LayerNorm)
        first, second = old.intermediate.dense, old.output.dense
        units = _units_kept(second, self._seen[second], count=self._inner)
        self._reads(first, into.intermediate.dense, before=out.LayerNorm, units=units)
        self._writes(second, into.output.dense, units=units)
        self._norm(old.output.LayerNorm, into.output.LayerNorm)

    def _reads(self, old: Any, into: Any, *, before: nn.Module, units: Tensor | None = None) -> None:
        """A linear layer over states: some of its units, over the narrow states."""
        weight, bias = old.weight, old.bias + old.weight @ self.rest(before)
        if units is not None:
            weight, bias = weight[units], bias[units]
        self._put(into, weight=weight @ self._basis, bias=bias)

    def _writes(self, old: Any, into: Any, *, units: Tensor) -> None:
        """A linear layer that adds to the states, over some of its units, the mean of the others in its bias."""
        weight, bias = _over(old, self._seen[old], units)
        self._put(into, weight=self._basis.T @ weight, bias=self._basis.T @ bias)

    def _head(self, new: Model, *, before: nn.Module) -> None:
        if new.head.gives == "logits":
            self._own_head(new, before=before)
            return
        old = self._watch.model.head
        wide = len(self._basis)
        values: dict[str, Tensor] = dict(old.named_parameters())
        shift = self.rest(before)
        for name, times in old.first().items():
            weight, bias = values[name], name.replace("weight", "bias")
            states = weight[:, : times * wide].reshape(len(weight), times, wide)
            values[bias] = values[bias] + (states @ shift).sum(1)
            values[name] = torch.cat([(states @ self._basis).flatten(1), weight[:, times * wide :]], dim=1)
        for name, parameter in new.head.named_parameters():
            parameter.data.copy_(values[name])
            self._filled.add(id(parameter))

    def _own_head(self, new: Model, *, before: nn.Module) -> None:
        """transformers' own: one linear layer over states, or two with a tanh between them."""
        first, second = self._watch.own_head(self._watch.model)
        into, last = self._watch.own_head(new)
        if first is None:
            self._reads(second, last, before=before)
            return
        units = _units_kept(second, self._seen[second], count=into.out_features)
        self._reads(first, into, before=before, units=units)
        weight, bias = _over(second, self._seen[second], units)
        self._put(last, weight=weight, bias=bias)


def _over(layer: Any, seen: Moments, units: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer over some of its units; the others' mean is in the bias."""
    dropped = torch.ones(layer.in_features, dtype=torch.bool)
    dropped[units] = False
    return layer.weight[:, units], layer.bias + layer.weight[:, dropped] @ seen.mean()[dropped]


def _units_kept(layer: Any, seen: Moments, *, count: int) -> Tensor:
    """The inputs of ``layer`` that vary most in what they add, ascending, int64 [count]."""
    kept: Tensor = (seen.variance() * layer.weight.square().sum(0)).topk(count).indices.sort().values
    return kept


def _heads_kept(layer: Any, seen: Moments, *, size: int, count: int) -> Tensor:
    """The inputs of ``layer`` that belong to the heads which vary most in what they add, ascending."""
    parts = layer.weight.split(size, dim=1)
    covariance = seen.covariance()
    added = [
        torch.einsum("oi,ij,oj->", part, covariance[at : at + size, at : at + size], part)
        for at, part in zip(range(0, layer.in_features, size), parts, strict=True)
    ]
    heads = torch.stack(added).topk(count).indices.sort().values
    units: Tensor = heads[:, None] * size + torch.arange(size)
    return units.flatten()

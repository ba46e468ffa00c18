"""`Net`: a decoder or an encoder, as the weights that a step multiplies by, in the order of the step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hone.models.grouped import GroupedLinear
from hone.models.int8 import Int8Embedding, Int8Linear

aten = torch.ops.aten

WIDE_BYTES, HEAD_BYTES = 1 << 22, 1 << 26  # weights of layers and of scores that are copied at most
PACKED_ROWS = 32  # that weights are packed for; others are multiplied by them as well
TURNED_PLACES = 512  # that angles are computed for at once

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": aten.gelu_,
    "gelu_new": lambda x: aten.gelu_(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: aten.gelu_(x, approximate="tanh"),
    "relu": aten.relu_,
    "silu": aten.silu_,
    "swish": aten.silu_,
}


WITHOUT_MEAN = frozenset({"T5LayerNorm", "LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm"})


class UnlikeError(Exception):
    """A model has parts that are not as its family's are; it can still be run as it is."""


class Line(NamedTuple):
    """A linear layer.

    Attributes:
        weight: float32 [in, out].
        bias: float32 [out].
    """

    weight: Tensor
    bias: Tensor | None

    @property
    def inputs(self) -> int:
        """Numbers that it reads."""
        return self.weight.shape[0]

    def scaled(self, outputs: int, by: float) -> Line:
        """The same with its first ``outputs`` outputs multiplied."""
        weight, bias = self.weight.clone(), None if self.bias is None else self.bias.clone()
        for part in (weight, bias):
            if part is not None:
                part[..., :outputs] *= by
        return Line(weight, bias)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.mm(x, self.weight) if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def onto(self, x: Tensor, rest: Tensor) -> Tensor:
        """What it makes of ``x``, and ``rest`` beside it."""
        if self.bias is None:
            return torch.addmm(rest, x, self.weight)
        return torch.addmm(self.bias, x, self.weight).add_(rest)


class Rounded(NamedTuple):
    """A linear layer over integers, which computes its own products."""

    layer: Int8Linear | GroupedLinear

    @property
    def inputs(self) -> int:
        """Numbers that it reads."""
        return self.layer.in_features

    def scaled(self, outputs: int, by: float) -> Rounded:
        """The same with its first ``outputs`` outputs multiplied."""
        made = copy.copy(self.layer)
        made._buffers = {name: None if value is None else value.clone() for name, value in made._buffers.items()}
        made.scale[:outputs] *= by
        made.bias[:outputs] *= by
        if isinstance(made, Int8Linear):
            made._packed = None  # of other scales
        return Rounded(made)

    def __call__(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out

    def onto(self, x: Tensor, rest: Tensor) -> Tensor:
        """What it makes of ``x``, and ``rest`` beside it."""
        return self(x).add_(rest)


def line_of(layers: Sequence[Any], *, first: float = 1.0) -> Line | Rounded:
    """Linear layers over one input as one, their outputs side by side, those of the first one times ``first``.

    Raises:
        UnlikeError: They are something else, or not alike.
    """
    made = _rounded(layers) if isinstance(layers[0], Int8Linear | GroupedLinear) else _plain(layers)
    return made if first == 1.0 else made.scaled(layers[0].out_features, first)


def _rounded(layers: Sequence[Any]) -> Rounded:
    kinds = {(type(layer), layer.weight.dtype) for layer in layers}
    if len(kinds) > 1:
        raise UnlikeError("layers of unlike integers over one input")
    return _of_few(layers[0] if len(layers) == 1 else type(layers[0]).joined(layers))


def _of_few(layer: Int8Linear | GroupedLinear) -> Rounded:
    """A layer over integers that is given as few rows at a time as are written together."""
    if isinstance(layer, Int8Linear):
        layer.expect_few()
    return Rounded(layer)


def _plain(layers: Sequence[Any]) -> Line:
    weights = [weight_of(layer) for layer in layers]
    given = [layer.bias.detach() for layer in layers if layer.bias is not None]
    if given and len(given) < len(layers):
        raise UnlikeError("some of joint layers have a bias")
    if len(layers) == 1:
        weight, bias = weights[0], given[0] if given else None
        # multiplied soonest in the order in which they are added up, but for one row of many inputs
        wide = weight.shape[0] <= weight.shape[1] and weight.nbytes <= WIDE_BYTES
        return Line(weight.contiguous() if wide else weight, bias)
    return Line(torch.cat(weights, dim=1), torch.cat(given) if given else None)


def table_of(table: Any) -> Tensor | Int8Embedding:
    """The rows of a table of tokens: float32 [rows, width], or what gives them."""
    return table if isinstance(table, Int8Embedding) else table.weight.detach()


def rows_of(table: Any) -> Tensor:
    """The rows of a small table, float32 [rows, width]."""
    if isinstance(table, Int8Embedding):
        return table(torch.arange(len(table.weight)))  # type: ignore[no-any-return]
    return table.weight.detach()  # type: ignore[no-any-return]


class Norm(NamedTuple):
    """Layer normalization; without the mean and a bias where ``bias`` is None (Zhang and Sennrich 2019)."""

    weight: Tensor
    bias: Tensor | None
    eps: float

    @classmethod
    def of(cls, layer: Any) -> Norm:
        if isinstance(layer, nn.LayerNorm) and layer.bias is not None:
            return cls(layer.weight.detach(), layer.bias.detach(), layer.eps)
        if type(layer).__name__ in WITHOUT_MEAN:
            return cls(layer.weight.detach(), None, layer.variance_epsilon)
        raise UnlikeError(f"a normalization by {type(layer).__name__}")

    def __call__(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            return torch.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True).add_(self.eps)) * self.weight


class Turns:
    """Queries and keys turned by where they stand (Su et al. 2021, RoFormer): number i of a head and the one half a
    head after it, by an angle that is the place times their frequency.

    Args:
        frequencies: float32 [half of a head's numbers].
        scale: What turned numbers are multiplied by.
    """

    def __init__(self, frequencies: Tensor, *, scale: float) -> None:
        self._frequencies, self._scale = frequencies, scale
        self._table = self._of(TURNED_PLACES)

    def _of(self, places: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each float32 [places, numbers of a head], the sines of its first half negative."""
        angles = torch.arange(places)[:, None].float() * self._frequencies
        cosines, sines = angles.cos() * self._scale, angles.sin() * self._scale
        return torch.cat([cosines, cosines], dim=1), torch.cat([-sines, sines], dim=1)

    def turn(self, x: Tensor, places: Tensor) -> None:
        """Turn ``x`` [rows, heads, numbers of a head], in place, of which each row stands at its place [rows]."""
        cosines, sines = self._table
        if int(places.max()) >= len(cosines):  # kept for later; another thread may replace it meanwhile
            cosines, sines = self._table = self._of(2 * int(places.max()))
        half = x.shape[-1] // 2
        swapped = torch.cat([x[..., half:], x[..., :half]], dim=-1)
        x.mul_(cosines[places][:, None]).addcmul_(swapped, sines[places][:, None])


class Cross(NamedTuple):
    """Attention to the source: its normalization, queries, keys and values side by side, and output."""

    norm: Norm
    q: Line | Rounded
    kv: Line | Rounded
    out: Line | Rounded


class Layer(NamedTuple):
    """A layer: attention to what was written, to the source where there is one, and the feed-forward part."""

    norm: Norm
    qkv: Line | Rounded
    out: Line | Rounded
    cross: Cross | None
    wide_norm: Norm
    wide: Line | Rounded
    gate: Line | Rounded | None
    narrow: Line | Rounded


@dataclass(frozen=True)
class Net:
    """A decoder or an encoder. Queries come out of their layers divided as attention wants them.

    Attributes:
        layers: Its layers, first to last.
        heads: Attention heads.
        shared: How many of these share keys and values (Ainslie et al. 2023); those that do stand in a row.
        turns: What turns queries and keys; None where nothing does.
        before: Whether parts normalize what they read (pre-norm), not what they give.
        act: The activation, in place.
        tokens: Embeddings, float32 [vocabulary, width], or what gives them.
        scale: What they are multiplied by.
        positions: Embeddings of places, float32 [places, width]; None where there are none.
        first: Normalization of embeddings.
        last: Of the last layer's states.
        distances: What attention adds for places that are so far apart. Given ``n``: of a decoder for a query at place
            n - 1 and keys 0 to n - 1, float32 [heads, n]; of an encoder for all n and n, float32 [heads, n, n].
    """

    layers: tuple[Layer, ...]
    heads: int
    before: bool
    act: Callable[[Tensor], Tensor]
    tokens: Tensor | Int8Embedding
    positions: Tensor | None
    scale: float = 1.0
    first: Norm | None = None
    last: Norm | None = None
    distances: Callable[[int], Tensor] | None = None
    shared: int = 1
    turns: Turns | None = None

    @property
    def kept(self) -> int:
        """Heads of keys, and of values."""
        return self.heads // self.shared

    @property
    def size(self) -> int:
        """Numbers of a head."""
        return self.layers[0].out.inputs // self.heads

    def embed(self, tokens: Tensor, places: int | Tensor) -> Tensor:
        """States [rows, width] of tokens [rows] that stand at places [rows], or all at one."""
        return self.placed(self.vectors(tokens), places)

    def vectors(self, tokens: Tensor) -> Tensor:
        """Embeddings [rows, width] of tokens [rows]."""
        table = self.tokens
        x = torch.embedding(table, tokens) if isinstance(table, Tensor) else table(tokens)
        return x if self.scale == 1.0 else x * self.scale

    def placed(self, x: Tensor, places: int | Tensor) -> Tensor:
        """States [rows, width] of embeddings that stand at places."""
        if self.positions is not None:
            x = x + self.positions[places]
        return x if self.first is None else self.first(x)

    def run(
        self, x: Tensor, *, own: Callable[[int, Tensor], Tensor], source: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        """Last states [tokens, width] of embedded tokens.

        Args:
            own: What a layer's attention to what was written makes of queries, keys and values side by side [tokens,
                (heads + 2 kept) size].
            source: What its attention to the source makes of queries [tokens, heads size].
        """
        before = self.before
        for i, layer in enumerate(self.layers):
            x = layer.out.onto(own(i, layer.qkv(layer.norm(x) if before else x)), x)
            x = x if before else layer.norm(x)
            cross = layer.cross
            if cross is not None:
                x = cross.out.onto(source(i, cross.q(cross.norm(x) if before else x)), x)
                x = x if before else cross.norm(x)
            h = layer.wide_norm(x) if before else x
            wide = self.act(layer.wide(h))
            if layer.gate is not None:
                wide = wide.mul_(layer.gate(h))
            x = layer.narrow.onto(wide, x)
            x = x if before else layer.wide_norm(x)
        return x if self.last is None else self.last(x)


def weight_of(layer: Any) -> Tensor:
    """The weight, float32 [in, out] on the CPU, of a linear layer that is nothing else.

    Raises:
        UnlikeError: It is something else.
    """
    if type(layer) not in (nn.Linear, Conv1D):
        raise UnlikeError(f"a layer {type(layer).__name__}")
    weight: Tensor = layer.weight.detach()
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise UnlikeError(f"weights in {weight.dtype} on {weight.device}")
    return weight.t() if type(layer) is nn.Linear else weight


class Head:
    """Gives the scores of last states.

    Where the weights are few, they are copied into the orders in which one row and in which several rows are multiplied
    soonest.

    Args:
        layer: The linear layer.
        bias: float32 [vocabulary], added to the scores.
        scale: What states are multiplied by before.
    """

    def __init__(self, layer: Any, *, bias: Tensor | None = None, scale: float = 1.0) -> None:
        self._scale = scale
        self._bias = bias if bias is not None and bool(bias.any()) else None
        self._packed: Tensor | None = None
        self._one: Line | Rounded
        if isinstance(layer, Int8Linear | GroupedLinear):
            self.vocabulary, self._one = layer.out_features, _of_few(layer)
            if self._bias is not None:
                raise UnlikeError("a bias beside scores over integers")
            return
        weight = weight_of(layer)
        self.vocabulary = weight.shape[1]
        few = weight.nbytes <= HEAD_BYTES
        self._one = Line(weight.contiguous() if few else weight, self._bias)
        if few and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), PACKED_ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits [rows, vocabulary] of states [rows, width]."""
        if self._scale != 1.0:
            x = x * self._scale
        if self._packed is None or len(x) < 2:
            return self._one(x)
        scores: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return scores


class Parts(NamedTuple):
    """What a quick writer is made of: its decoder, what scores the decoder's states, and what reads sources, None where
    prompts are continued."""

    decoder: Net
    head: Head
    encoder: Net | None


def act_of(name: str) -> Callable[[Tensor], Tensor]:
    """The activation that a configuration names.

    Raises:
        UnlikeError: There is none of that name here.
    """
    if name not in ACTIVATIONS:
        raise UnlikeError(f"the activation {name!r}")
    return ACTIVATIONS[name]

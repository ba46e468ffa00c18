"""A linear layer with an adapter beside it: what both are as one weight, and how an adapter lies in files.

hone computes adapters itself, under peft's names and by peft's formulas. So answering needs no peft, the encoder of
`hone.models.encoder` trains and answers with them as with any layer, and many adapters share one base without touching
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from hone.core.errors import Fault, did_you_mean
from hone.models.adapters.held_base import let_go
from hone.models.adapters.method import (
    Layer,
    Shapes,
    is_turned,
    linear_layers,
    matched,
    replace,
    sizes_of,
    turned_back,
)
from hone.models.model import Model

ALL_LINEAR = "all-linear"
PREFIX = "base_model.model."  # what peft puts before the names of a model's modules


def _some(value: Any) -> Any:
    """Raise where no layer is named: an adapter of nothing would learn nothing."""
    if value == []:
        raise ValueError(f"at least one layer, {ALL_LINEAR}, or null for the usual ones")
    return value


# the layers that a recipe names: names or their ends; None: the usual ones
Targets = Annotated[list[str] | Literal["all-linear"] | None, AfterValidator(_some)]


class Tuned(nn.Module):
    """A module of the base, here called ``base``, and beside it what a method learns, under the names of its file."""

    def own(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What is learned, by name."""
        return ((name, value) for name, value in self.named_parameters() if not name.startswith("base."))

    def saved(self) -> dict[str, Tensor]:
        """What a file keeps of it, by name."""
        return dict(self.own())


class TunedLinear(Tuned):
    """A linear layer of the base, and what is beside it.

    Args:
        base: Left as it is; it may stand in other models too.
    """

    def __init__(self, base: Layer) -> None:
        super().__init__()
        self.base = base
        self.out_features, self.in_features = sizes_of(base)

    @property
    def base_weight(self) -> Tensor:
        """Of the layer alone, float32 [outputs, inputs]."""
        lying: Tensor = self.base.weight
        return lying.t() if isinstance(self.base, Conv1D) else lying

    @property
    def weight(self) -> Tensor:
        """Both as one weight, float32 [outputs, inputs]; gradients go through it to what is learned."""
        raise TypeError(f"{type(self).__name__} defines no weight")

    @property
    def bias(self) -> Any:
        """Of the outputs, [outputs] or None."""
        return self.base.bias

    def whole(self) -> nn.Linear | Conv1D:
        """Both as one layer, of the kind that the base's is."""
        return turned_back(self.weight, self.bias, turned=is_turned(self.base))

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight, self.bias)


def targets(
    names: Mapping[str, Any], wanted: Iterable[str] | str | None, *, usual: Mapping[str, Any], kind: str
) -> list[str]:
    """The layers of ``names`` that ``wanted`` names.

    Args:
        wanted: As peft's ``target_modules``: names or their ends, or ``all-linear``; None: those of ``usual``.
        usual: Type of base -> the same for it, as peft has it.
        kind: Type of the base.
    """
    if wanted == ALL_LINEAR:
        return list(names)
    ends = usual.get(kind, []) if wanted is None else wanted
    found = {name for end in ends for name in matched(names, end)}
    return [name for name in names if name in found]


def target_faults(
    shapes: Shapes, wanted: Iterable[str] | str | None, *, usual: Mapping[str, Any], field: str = "target_modules"
) -> list[Fault]:
    """Names of layers that the base does not have; a type of base that has no usual ones."""
    kind = shapes.config.model_type
    if wanted is None:
        if kind in usual:
            return []
        found = f"nothing, and peft has no usual layers for a base of type {kind!r}"
        return [Fault("recipe.target-modules", found, f"names of layers, or {ALL_LINEAR}", field=field)]
    if isinstance(wanted, str):
        return []
    ends = sorted({name.rpartition(".")[2] for name in shapes.linear})
    return [
        Fault(
            "recipe.target-modules",
            f"the layer {name!r}, which this base does not have",
            "the name of a linear layer, or its end",
            field=field,
            fix=did_you_mean(name, ends),
        )
        for name in wanted
        if not matched(shapes.linear, name)
    ]


def targets_in(model: Model, wanted: Iterable[str] | str | None, *, usual: Mapping[str, Any]) -> list[str]:
    """The names of a model's layers that a method tunes."""
    backbone: Any = model.backbone
    return targets(linear_layers(backbone), wanted, usual=usual, kind=backbone.config.model_type)


def tune(model: Model, names: Iterable[str], make: Any) -> None:
    """Put ``make(name, layer)`` in the place of each named linear layer of the backbone."""
    layers = linear_layers(model.backbone)
    for name in names:
        replace(model.backbone, name, make(name, layers[name]))
    if model.encoder is not None:
        model.encoder.renewed()


def turned(model: Model) -> bool:
    """Whether the layers that are tuned keep their weights [inputs, outputs], which peft calls ``fan_in_fan_out``."""
    layers = tuned_modules(model.backbone).values()
    return any(is_turned(layer.base) for layer in layers if isinstance(layer, TunedLinear))


def tuned_modules(backbone: nn.Module) -> dict[str, Tuned]:
    """Those of a backbone, by name."""
    return {name: module for name, module in backbone.named_modules() if isinstance(module, Tuned)}


def merged(model: Model) -> Model:
    """Work the adapter into the weights of its layers, in place: plain linear layers as before it, of a base that was
    held in fewer bits as of another."""
    for name, layer in tuned_modules(model.backbone).items():
        assert isinstance(layer, TunedLinear)
        replace(model.backbone, name, layer.whole())
    let_go(model)
    model.tuning = None
    if model.encoder is not None:
        model.encoder.modular = False
        model.encoder.renewed()
    return model

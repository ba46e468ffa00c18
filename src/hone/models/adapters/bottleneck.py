"""``houlsby`` and ``pfeiffer``: a narrow network in each layer that adds to what passes through it, after both halves
of a layer (Houlsby et al. 2019), or after the feed-forward block alone (Pfeiffer et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.adapters.linear import Tuned, TunedLinear
from hone.models.adapters.method import Method, Shapes, freeze_body
from hone.models.encoder import FAMILIES
from hone.models.model import Model

STD = 0.02


class BottleneckSettings(Settings):
    """Settings of ``houlsby`` and ``pfeiffer``.

    Attributes:
        bottleneck_size: Width of the narrow layer.
        non_linearity: Between its two products.
    """

    bottleneck_size: Annotated[int, Field(ge=1)] = 64
    non_linearity: Literal["relu", "gelu"] = "relu"


class Bottleneck(nn.Module):
    """``up(f(down(x)))``, zero before training."""

    def __init__(self, width: int, settings: BottleneckSettings) -> None:
        super().__init__()
        self.down = nn.Linear(width, settings.bottleneck_size)
        self.up = nn.Linear(settings.bottleneck_size, width)
        nn.init.normal_(self.down.weight, std=STD)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self._between = functional.relu if settings.non_linearity == "relu" else functional.gelu

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.up(self._between(self.down(states)))
        return out


class AfterLinear(TunedLinear):
    """A linear layer and a bottleneck over what it gives, before the sum with what passed it by."""

    def __init__(self, base: nn.Linear, settings: BottleneckSettings) -> None:
        super().__init__(base)
        self.adapter = Bottleneck(base.out_features, settings)

    def forward(self, input: Tensor) -> Tensor:
        states: Tensor = self.base(input)
        added: Tensor = self.adapter(states)
        return states + added


class AroundNorm(Tuned):
    """A layer norm with a bottleneck: ``norm(x + bottleneck(norm(x)))``."""

    def __init__(self, base: nn.LayerNorm, settings: BottleneckSettings) -> None:
        super().__init__()
        self.base = base
        self.adapter = Bottleneck(base.normalized_shape[0], settings)

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.base(input + self.adapter(self.base(input)))
        return out


class _InLayers(Method):
    settings: ClassVar[type[Settings]] = BottleneckSettings
    adapter: ClassVar[bool] = True
    not_merged: ClassVar[str] = "what it learned is a network of its own in each layer, which no weight of the base is"
    places: ClassVar[int]

    def faults(self, settings: BottleneckSettings, shapes: Shapes) -> list[Fault]:
        width = int(shapes.config.hidden_size)
        if shapes.config.model_type not in FAMILIES:
            found = f"{self.name}, and a base of type {shapes.config.model_type!r}"
            return [Fault("recipe.method-base", found, f"one of {', '.join(sorted(FAMILIES))}", field="name")]
        if settings.bottleneck_size > width:
            found = f"{settings.bottleneck_size}, and states of width {width}"
            return [Fault("recipe.rank", found, f"at most {width}", field="bottleneck_size")]
        return []

    def learning(self, settings: BottleneckSettings, shapes: Shapes) -> int:
        width, narrow = int(shapes.config.hidden_size), settings.bottleneck_size
        return shapes.layers * self.places * (2 * width * narrow + narrow + width)

    def attach(self, model: Model, settings: BottleneckSettings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)
        backbone: Any = model.backbone
        body = getattr(backbone, backbone.base_model_prefix, backbone)
        for layer in body.encoder.layer:
            self.put(layer, settings)
        if model.encoder is not None:
            model.encoder.modular = True

    def put(self, layer: Any, settings: BottleneckSettings) -> None:
        """Put the bottlenecks into a layer."""
        raise TypeError(f"{type(self).__name__} puts nothing")


class Houlsby(_InLayers):
    """After both halves of each layer."""

    name: ClassVar[str] = "houlsby"
    places: ClassVar[int] = 2

    def put(self, layer: Any, settings: BottleneckSettings) -> None:
        for half in (layer.attention.output, layer.output):
            half.dense = AfterLinear(half.dense, settings)


class Pfeiffer(_InLayers):
    """After the feed-forward block, between its norm and the same norm again."""

    name: ClassVar[str] = "pfeiffer"
    places: ClassVar[int] = 1

    def put(self, layer: Any, settings: BottleneckSettings) -> None:
        layer.output.LayerNorm = AroundNorm(layer.output.LayerNorm, settings)


HOULSBY, PFEIFFER = Houlsby(), Pfeiffer()

"""``houlsby`` and ``pfeiffer``: a narrow network in each layer that adds to what passes through it, after both halves
of a layer (Houlsby et al. 2019), or after the feed-forward block alone (Pfeiffer et al. 2020)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.adapters.linear import Tuned, TunedLinear
from hone.models.adapters.method import Layer, Method, Shapes, freeze_body, linear_layers, replace
from hone.models.adapters.usual import LLAMAS
from hone.models.encoder import FAMILIES
from hone.models.model import Model

STD = 0.02


@dataclass(frozen=True)
class Halves:
    """Where the halves of a base's layers end, by patterns of the last parts of module names.

    Attributes:
        attention, feed_forward: The last linear layers of each.
        norm: What normalizes the sum with the feed-forward half, where that ends a layer; None where layers begin so.
    """

    attention: tuple[str, ...]
    feed_forward: tuple[str, ...]
    norm: str | None = None


_BERT = Halves((r"attention\.output\.dense",), (r"layer\.\d+\.output\.dense",), r"layer\.\d+\.output\.LayerNorm")
_BART = Halves((r"self_attn\.out_proj", r"encoder_attn\.out_proj"), ("fc2",), "final_layer_norm")
_MBART = Halves(_BART.attention, _BART.feed_forward)
_T5 = Halves((r"SelfAttention\.o", r"EncDecAttention\.o"), ("wo",))
_LLAMA = Halves((r"self_attn\.o_proj",), (r"mlp\.down_proj",))
HALVES = {
    **dict.fromkeys(FAMILIES, _BERT),
    "gpt2": Halves((r"attn\.c_proj",), (r"mlp\.c_proj",)),
    **dict.fromkeys(("bart", "marian"), _BART),
    **dict.fromkeys(("mbart", "pegasus", "m2m_100"), _MBART),
    **dict.fromkeys(("t5", "mt5"), _T5),
    **dict.fromkeys(LLAMAS, _LLAMA),
}


def _ending(names: Iterable[str], pattern: str) -> list[str]:
    """Those of ``names`` whose last parts are as ``pattern`` says."""
    return [name for name in names if re.search(rf"(^|\.){pattern}$", name)]


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

    def __init__(self, base: Layer, settings: BottleneckSettings) -> None:
        super().__init__(base)
        self.adapter = Bottleneck(self.out_features, settings)

    @property
    def weight(self) -> Tensor:
        """Of the layer alone, which models look at before they call it; no weight is both."""
        return self.base_weight

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
    divides: ClassVar[bool] = True
    not_merged: ClassVar[str] = "what it learned is a network of its own in each layer, which no weight of the base is"
    around_norm: ClassVar[bool] = False

    def faults(self, settings: BottleneckSettings, shapes: Shapes) -> list[Fault]:
        width = int(shapes.config.hidden_size)
        if shapes.config.model_type not in HALVES:
            found = f"{self.name}, and a base of type {shapes.config.model_type!r}"
            return [Fault("recipe.method-base", found, f"one of {', '.join(sorted(HALVES))}", field="name")]
        if settings.bottleneck_size > width:
            found = f"{settings.bottleneck_size}, and states of width {width}"
            return [Fault("recipe.rank", found, f"at most {width}", field="bottleneck_size")]
        return []

    def learning(self, settings: BottleneckSettings, shapes: Shapes) -> int:
        width, narrow = int(shapes.config.hidden_size), settings.bottleneck_size
        places = len(self._lasts(shapes.linear, shapes.config.model_type))
        return places * (2 * width * narrow + narrow + width)

    def attach(self, model: Model, settings: BottleneckSettings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)
        backbone: Any = model.backbone
        halves = HALVES[backbone.config.model_type]
        if self.around_norm and halves.norm is not None:
            for name in _ending(norms := dict(backbone.named_modules()), halves.norm):
                replace(backbone, name, AroundNorm(norms[name], settings))
        else:
            layers = linear_layers(backbone)
            for name in self._lasts(layers, backbone.config.model_type):
                replace(backbone, name, AfterLinear(layers[name], settings))
        if model.encoder is not None:
            model.encoder.modular = True

    def _lasts(self, names: Mapping[str, Any], kind: str) -> list[str]:
        """The linear layers that end the halves which a bottleneck comes after."""
        halves = HALVES[kind]
        ends = halves.feed_forward if self.around_norm else (*halves.attention, *halves.feed_forward)
        return [name for end in ends for name in _ending(names, end)]


class Houlsby(_InLayers):
    """After both halves of each layer; of a decoder that reads a source after all three parts."""

    name: ClassVar[str] = "houlsby"


class Pfeiffer(_InLayers):
    """After the feed-forward block, between its norm and the same norm again where one ends the layer."""

    name: ClassVar[str] = "pfeiffer"
    around_norm: ClassVar[bool] = True


HOULSBY, PFEIFFER = Houlsby(), Pfeiffer()

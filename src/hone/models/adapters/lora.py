"""``lora``: a product of two narrow matrices beside a weight (Hu et al. 2022); with DoRA (Liu et al. 2024) the sum has
norms of its own, with rsLoRA (Kalajdzievski 2023) its scale falls with the root of the rank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.adapters.linear import Targets, TunedLinear, target_faults, targets, targets_in, tune, turned
from hone.models.adapters.method import Layer, Method, Shapes, freeze_body
from hone.models.adapters.usual import LORA_TARGETS
from hone.models.held import HeldLinear
from hone.models.model import Model

Rank = Annotated[int, Field(ge=1)]
Alpha = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LoraSettings(Settings):
    """Settings of ``lora``, as peft's `LoraConfig` has them.

    Attributes:
        r: Rank of the product.
        lora_alpha: The product is scaled by ``lora_alpha / r``.
        lora_dropout: Dropout of what goes into the product; above 0 training goes through transformers' own modules.
        target_modules: Names of linear layers, or their ends; ``all-linear``; None: queries and values.
        use_dora: Whether the rows of the sum have norms that are learned.
        use_rslora: Whether the scale is ``lora_alpha / sqrt(r)``.
    """

    r: Rank = 8
    lora_alpha: Alpha = 16.0
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Targets = None
    use_dora: bool = False
    use_rslora: bool = False

    @property
    def scale(self) -> float:
        """What the product is multiplied by."""
        return self.lora_alpha / (math.sqrt(self.r) if self.use_rslora else self.r)


class LoraLinear(TunedLinear):
    """``W + scale B A``; with DoRA each row of it brought to a norm that is learned."""

    def __init__(self, base: Layer, settings: LoraSettings) -> None:
        super().__init__(base)
        self.lora_A = nn.Linear(self.in_features, settings.r, bias=False)
        self.lora_B = nn.Linear(settings.r, self.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)
        self._scale, self._drop = settings.scale, settings.lora_dropout
        norms = torch.linalg.norm(self.base_weight.detach(), dim=1) if settings.use_dora else None
        self.lora_magnitude_vector = None if norms is None else nn.Parameter(norms)

    @property
    def weight(self) -> Tensor:
        summed = torch.addmm(self.base_weight, self.lora_B.weight, self.lora_A.weight, alpha=self._scale)
        share = self._share(summed)
        return summed if share is None else summed * share.unsqueeze(1)

    def _share(self, summed: Tensor) -> Tensor | None:
        """What each row is multiplied by, [outputs]; the norm counts as a constant, as in the paper's section 4.3."""
        if self.lora_magnitude_vector is None:
            return None
        norms: Tensor = torch.linalg.norm(summed.detach(), dim=1)
        return self.lora_magnitude_vector / norms

    def _product(self, input: Tensor) -> Tensor:
        """With the base's weight alone."""
        if isinstance(self.base, HeldLinear):
            return self.base.product(input)
        return functional.linear(input, self.base_weight)

    def forward(self, input: Tensor) -> Tensor:
        drops = self.training and self._drop > 0
        if not drops and self.lora_magnitude_vector is None:
            added: Tensor = self.lora_B(self.lora_A(input))
            return torch.add(self.base(input), added, alpha=self._scale)
        if not drops and not isinstance(self.base, HeldLinear):  # whole weights may be kept for the way back
            return functional.linear(input, self.weight, self.bias)
        dropped = functional.dropout(input, self._drop) if drops else input
        added = self.lora_B(self.lora_A(dropped)) * self._scale
        whole: Tensor = self.base(input) + added
        if self.lora_magnitude_vector is None:
            return whole
        share = self._share(self.base_weight + self._scale * self.lora_B.weight @ self.lora_A.weight)
        assert share is not None
        plain = self._product(dropped)
        more: Tensor = (share - 1) * plain + share * added
        return torch.add(self.base(input), more)


class Lora(Method):
    """The entry of the table."""

    name: ClassVar[str] = "lora"
    settings: ClassVar[type[Settings]] = LoraSettings
    adapter: ClassVar[bool] = True
    merges: ClassVar[bool] = True
    peft: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    def faults(self, settings: LoraSettings, shapes: Shapes) -> list[Fault]:
        faults = target_faults(shapes, settings.target_modules, usual=LORA_TARGETS)
        return faults + rank_faults(settings.r, shapes, self._names(settings, shapes), field="r")

    def _names(self, settings: LoraSettings, shapes: Shapes) -> list[str]:
        kind = shapes.config.model_type
        return targets(shapes.linear, settings.target_modules, usual=LORA_TARGETS, kind=kind)

    def learning(self, settings: LoraSettings, shapes: Shapes) -> int:
        chosen = [shapes.linear[name] for name in self._names(settings, shapes)]
        return sum(settings.r * sum(shape) + settings.use_dora * shape[0] for shape in chosen)

    def decided(self, settings: LoraSettings, model: Model) -> LoraSettings:
        names = targets_in(model, settings.target_modules, usual=LORA_TARGETS)
        return settings.model_copy(update={"target_modules": names})

    def attach(self, model: Model, settings: LoraSettings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)
        assert isinstance(settings.target_modules, list)
        tune(model, settings.target_modules, lambda _, layer: LoraLinear(layer, settings))
        if settings.lora_dropout and model.encoder is not None:
            model.encoder.modular = True

    def peft_config(self, settings: LoraSettings, model: Model) -> dict[str, Any]:
        return {"peft_type": "LORA", **settings.model_dump(), "fan_in_fan_out": turned(model)}


def rank_faults(rank: int, shapes: Shapes, names: list[str], *, field: str) -> list[Fault]:
    """A rank that is larger than a matrix it is beside."""
    smallest = min((min(shapes.linear[name]) for name in names), default=rank)
    if rank <= smallest:
        return []
    found = f"{rank}, and a matrix of rank {smallest} at most"
    return [Fault("recipe.rank", found, f"at most {smallest}", field=field)]


LORA = Lora()

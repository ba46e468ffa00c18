"""``ia3``: keys, values and what feeds back into the states are scaled, unit by unit (Liu et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.adapters.linear import Targets, TunedLinear, target_faults, targets, targets_in, tune, turned
from hone.models.adapters.method import Layer, Method, Shapes, freeze_body, matched
from hone.models.adapters.usual import IA3_INNER, IA3_TARGETS
from hone.models.model import Model


class Ia3Settings(Settings):
    """Settings of ``ia3``, as peft's `IA3Config` has them.

    Attributes:
        target_modules: Names of linear layers, or their ends; None: keys, values, and what feeds back into the states.
        feedforward_modules: Those of them whose inputs are scaled rather than their outputs.
    """

    target_modules: Targets = None
    feedforward_modules: list[str] | None = None


class Ia3Linear(TunedLinear):
    """A layer whose outputs are scaled, or, of a feed-forward block, its inputs."""

    def __init__(self, base: Layer, *, inner: bool) -> None:
        super().__init__(base)
        self._inner = inner
        self.ia3_l = nn.Parameter(torch.ones((1, self.in_features) if inner else (self.out_features, 1)))

    @property
    def weight(self) -> Tensor:
        return self.base_weight * self.ia3_l

    @property
    def bias(self) -> Any:
        plain = self.base.bias is None or self._inner
        return self.base.bias if plain else self.base.bias * self.ia3_l.squeeze(1)

    def forward(self, input: Tensor) -> Tensor:
        scale = self.ia3_l.flatten()
        out: Tensor = self.base(input * scale) if self._inner else self.base(input) * scale
        return out


class Ia3(Method):
    """The entry of the table."""

    name: ClassVar[str] = "ia3"
    settings: ClassVar[type[Settings]] = Ia3Settings
    adapter: ClassVar[bool] = True
    merges: ClassVar[bool] = True
    peft: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    def faults(self, settings: Ia3Settings, shapes: Shapes) -> list[Fault]:
        inner = settings.feedforward_modules
        found = [
            *target_faults(shapes, settings.target_modules, usual=IA3_TARGETS),
            *target_faults(shapes, inner, usual=IA3_INNER, field="feedforward_modules"),
        ]
        return found or self._faults_beside(settings, shapes)

    def _faults_beside(self, settings: Ia3Settings, shapes: Shapes) -> list[Fault]:
        """Layers that the settings name to have their inputs scaled, and that are not among those that are tuned."""
        chosen = {*self._targets(settings, shapes)}
        return [
            Fault(
                "recipe.target-modules",
                f"{name!r}, no layer of which is among target_modules",
                "those of target_modules whose inputs are scaled",
                field="feedforward_modules",
                fix="Name it under target_modules as well, or leave it out.",
            )
            for name in settings.feedforward_modules or []
            if not chosen & {*matched(shapes.linear, name)}
        ]

    def _targets(self, settings: Ia3Settings, shapes: Shapes) -> list[str]:
        kind = shapes.config.model_type
        return targets(shapes.linear, settings.target_modules, usual=IA3_TARGETS, kind=kind)

    def learning(self, settings: Ia3Settings, shapes: Shapes) -> int:
        kind = shapes.config.model_type
        inner = targets(shapes.linear, settings.feedforward_modules, usual=IA3_INNER, kind=kind)
        return sum(shapes.linear[name][name in inner] for name in self._targets(settings, shapes))

    def decided(self, settings: Ia3Settings, model: Model) -> Ia3Settings:
        chosen = targets_in(model, settings.target_modules, usual=IA3_TARGETS)
        inner = targets_in(model, settings.feedforward_modules, usual=IA3_INNER)
        both = [name for name in inner if name in chosen]
        return settings.model_copy(update={"target_modules": chosen, "feedforward_modules": both})

    def attach(self, model: Model, settings: Ia3Settings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)
        assert isinstance(settings.target_modules, list)
        inner = settings.feedforward_modules or []
        tune(model, settings.target_modules, lambda name, layer: Ia3Linear(layer, inner=name in inner))

    def peft_config(self, settings: Ia3Settings, model: Model) -> dict[str, Any]:
        return {"peft_type": "IA3", **settings.model_dump(), "fan_in_fan_out": turned(model)}


IA3 = Ia3()

"""``adalora``: a product of three matrices beside a weight, whose ranks are taken away where they matter least (Zhang
et al. 2023); how many are left where is decided in the loop, see `hone.train.rank_allocation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.adapters.linear import (
    PREFIX,
    Targets,
    TunedLinear,
    target_faults,
    targets,
    targets_in,
    tune,
    tuned_modules,
    turned,
)
from hone.models.adapters.lora import Alpha, Rank, rank_faults
from hone.models.adapters.method import Layer, Method, Shapes, freeze_body
from hone.models.adapters.usual import LORA_TARGETS
from hone.models.model import Model

SMALL = 1e-5  # peft adds it to the rank that it divides by
Beta = Annotated[float, Field(gt=0, lt=1)]
Steps = Annotated[int, Field(ge=0)]


class AdaLoraSettings(Settings):
    """Settings of ``adalora``, as peft's `AdaLoraConfig` has them.

    Attributes:
        init_r: Rank of each product at first.
        target_r: Mean rank at last.
        tinit: Optimizer steps before ranks are taken away; None: a tenth of all.
        tfinal: Steps at the end during which none are; None: a third of all.
        deltaT: Steps from one decision to the next.
        beta1, beta2: Of the averages of a rank's importance and of its spread.
        orth_reg_weight: Weight of how far the outer matrices are from orthogonal.
        lora_alpha: The product is scaled by ``lora_alpha / init_r``.
        target_modules: As for ``lora``.
    """

    init_r: Rank = 12
    target_r: Rank = 8
    tinit: Steps | None = None
    tfinal: Steps | None = None
    deltaT: Annotated[int, Field(ge=1)] = 10  # noqa: N815 - peft's name
    beta1: Beta = 0.85
    beta2: Beta = 0.85
    orth_reg_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    lora_alpha: Alpha = 32.0
    target_modules: Targets = None

    @model_validator(mode="after")
    def _falling(self) -> AdaLoraSettings:
        if self.target_r >= self.init_r:
            raise ValueError(f"a target_r below init_r, which is {self.init_r}")
        return self


class AdaLoraLinear(TunedLinear):
    """``W + scale B (E A)``; a rank whose ``E`` is zero is taken away."""

    def __init__(self, base: Layer, settings: AdaLoraSettings, *, rank: int) -> None:
        super().__init__(base)
        self.lora_A = nn.Parameter(torch.randn(rank, self.in_features) * 0.02)
        self.lora_E = nn.Parameter(torch.zeros(rank, 1))
        self.lora_B = nn.Parameter(torch.randn(self.out_features, rank) * 0.02)
        self._scale = settings.lora_alpha / (settings.init_r + SMALL)

    @property
    def weight(self) -> Tensor:
        return torch.addmm(self.base_weight, self.lora_B, self.lora_A * self.lora_E, alpha=self._scale)

    def forward(self, input: Tensor) -> Tensor:
        added = input @ (self.lora_A * self.lora_E).t() @ self.lora_B.t()
        return torch.add(self.base(input), added, alpha=self._scale)

    def left(self) -> Tensor:
        """Which ranks are left, bool [rank]; none before the first step, when every ``E`` is zero."""
        return self.lora_E.detach().squeeze(1) != 0

    def saved(self) -> dict[str, Tensor]:
        left = self.left()
        return {"lora_A": self.lora_A[left], "lora_E": self.lora_E[left], "lora_B": self.lora_B[:, left]}


class AdaLora(Method):
    """The entry of the table."""

    name: ClassVar[str] = "adalora"
    settings: ClassVar[type[Settings]] = AdaLoraSettings
    adapter: ClassVar[bool] = True
    merges: ClassVar[bool] = True
    peft: ClassVar[bool] = True
    trains_with_peft: ClassVar[bool] = True
    excludes: ClassVar[Mapping[str, str]] = {"leaves": "whose ranks are taken away: an average has them all"}

    def faults(self, settings: AdaLoraSettings, shapes: Shapes) -> list[Fault]:
        found = target_faults(shapes, settings.target_modules, usual=LORA_TARGETS)
        return found + rank_faults(settings.init_r, shapes, self._names(settings, shapes), field="init_r")

    def _names(self, settings: AdaLoraSettings, shapes: Shapes) -> list[str]:
        kind = shapes.config.model_type
        return targets(shapes.linear, settings.target_modules, usual=LORA_TARGETS, kind=kind)

    def learning(self, settings: AdaLoraSettings, shapes: Shapes) -> int:
        return sum(settings.init_r * (sum(shapes.linear[name]) + 1) for name in self._names(settings, shapes))

    def decided(self, settings: AdaLoraSettings, model: Model) -> AdaLoraSettings:
        names = targets_in(model, settings.target_modules, usual=LORA_TARGETS)
        return settings.model_copy(update={"target_modules": names})

    def attach(self, model: Model, settings: AdaLoraSettings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)
        assert isinstance(settings.target_modules, list)

        def made(name: str, layer: Layer) -> AdaLoraLinear:
            rank = settings.init_r if state is None else len(state[f"{PREFIX}{name}.lora_E"])
            return AdaLoraLinear(layer, settings, rank=rank)

        tune(model, settings.target_modules, made)

    def peft_config(self, settings: AdaLoraSettings, model: Model) -> dict[str, Any]:
        layers = tuned_modules(model.backbone).items()
        left = {f"{name}.lora_E": layer.left().tolist() for name, layer in layers if isinstance(layer, AdaLoraLinear)}
        over = {"tinit": 0, "tfinal": 0, "total_step": 1}  # peft asks for a schedule; this one's is over
        return {
            "peft_type": "ADALORA",
            **settings.model_dump(),
            **over,
            "rank_pattern": left,
            "fan_in_fan_out": turned(model),
        }


ADALORA = AdaLora()

"""Methods that let some of the weights of the base learn and add none: ``full``, ``head``, ``top-n``, ``bitfit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.adapters.method import Method, Shapes, freeze_body
from hone.models.encoder import FAMILIES
from hone.models.model import Model


class NoSettings(Settings):
    """Of a method that has none."""


class Full(Method):
    """``full``: every weight learns."""

    name: ClassVar[str] = "full"
    settings: ClassVar[type[Settings]] = NoSettings
    divides: ClassVar[bool] = True


class Head(Method):
    """``head``: the head alone learns, over features that stay."""

    name: ClassVar[str] = "head"
    settings: ClassVar[type[Settings]] = NoSettings

    def frozen(self, settings: NoSettings, layers: int) -> int:
        return layers

    def learning(self, settings: NoSettings, shapes: Shapes) -> int:
        return 0

    def attach(self, model: Model, settings: NoSettings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)


class TopNSettings(Settings):
    """Settings of ``top-n``.

    Attributes:
        layers: How many of the highest layers learn.
    """

    layers: Annotated[int, Field(ge=1)] = 2


class TopN(Method):
    """``top-n``: the highest layers and the head learn; embeddings and the layers below stay."""

    name: ClassVar[str] = "top-n"
    settings: ClassVar[type[Settings]] = TopNSettings

    def faults(self, settings: TopNSettings, shapes: Shapes) -> list[Fault]:
        kind = shapes.config.model_type
        if kind not in FAMILIES:
            known = ", ".join(sorted(FAMILIES))
            return [Fault("recipe.freeze-layers", f"a base of type {kind!r}", f"one of {known}", field="name")]
        if settings.layers > shapes.layers:
            found = f"{settings.layers}, and a base of {shapes.layers} layers"
            return [Fault("recipe.freeze-layers", found, f"at most {shapes.layers}", field="layers")]
        return []

    def frozen(self, settings: TopNSettings, layers: int) -> int:
        return layers - settings.layers


class Bitfit(Method):
    """``bitfit``: the biases and the head learn (Ben Zaken et al. 2022)."""

    name: ClassVar[str] = "bitfit"
    settings: ClassVar[type[Settings]] = NoSettings
    divides: ClassVar[bool] = True

    def faults(self, settings: NoSettings, shapes: Shapes) -> list[Fault]:
        if shapes.biases:
            return []
        found = f"bitfit, and a base of type {shapes.config.model_type!r}, which has no biases"
        return [Fault("recipe.method-base", found, "a base that has some", field="name", fix="Take lora or ia3.")]

    def learning(self, settings: NoSettings, shapes: Shapes) -> int:
        return shapes.biases

    def attach(self, model: Model, settings: NoSettings, state: Mapping[str, Tensor] | None = None) -> None:
        freeze_body(model)
        for name, parameter in model.backbone.named_parameters():
            if name.endswith("bias"):
                parameter.requires_grad_(True)


FULL, HEAD, TOP_N, BITFIT = Full(), Head(), TopN(), Bitfit()

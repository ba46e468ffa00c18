"""Whether `torch.compile` pays back within a training: by an estimate that is said, and that no clock enters, so that
two runs of one recipe compute alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from hone.core.errors import RecipeError
from hone.models.model import Model
from hone.models.nets import Saved

Wish = bool | Literal["auto"]


@dataclass(frozen=True)
class Payback:
    """What compiling costs and brings on a kind of device.

    Attributes:
        seconds: That compiling takes, for every layer.
        gain: Share of a step's time that it saves.
        rate: Floating-point operations a second that such a device trains at.
    """

    seconds: float
    gain: float
    rate: float

    def operations(self, *, layers: int) -> float:
        """Of a training from which on compiling pays back."""
        return self.seconds * layers / self.gain * self.rate


# Round numbers; no GPU has confirmed them. A CPU has none: a GPT-2 trained there at 0.91 of its speed once compiled
# (docs/decisions/0072); where benchmarks/engine/compile.py shows a gain, a recipe says true.
PAYBACK = {"cuda": Payback(seconds=8.0, gain=0.2, rate=5e13)}


def compiles(
    wish: Wish,
    model: Model,
    *,
    tokens: float,
    device: torch.device,
    inside: bool = False,
    divided: bool = False,
) -> tuple[bool, str]:
    """Whether to compile, and one sentence that says why.

    Args:
        wish: The recipe's ``torch_compile``.
        tokens: That the training reads in all.
        inside: Whether a technique acts inside the model, where no compiler would see it.
        divided: Whether weights are fetched from other processes when they are needed; `find_faults` has refused a wish
            to compile that.

    Raises:
        RecipeError: It is asked for where hone's own encoder runs, which is none of the compiler's.
    """
    if divided:
        return False, "torch.compile: no; the weights are divided among processes"
    if model.bits is not None:
        return False, "torch.compile: no; the base is held in fewer bits, which no compiler sees through"
    if device.type == "cpu" and model.encoder is not None:
        if wish is True:
            raise RecipeError(
                "torch_compile: true, and on a CPU a base of this type runs through hone's own encoder",
                expected="auto or false",
                fix="Leave torch_compile out; that encoder's operations are joined already.",
                code="recipe.torch-compile",
            )
        return False, "torch.compile: no; hone's own encoder runs, whose operations are joined already"
    if inside:
        return False, "torch.compile: no; a technique of this recipe acts inside the model"
    if wish != "auto":
        return bool(wish), f"torch.compile: {'yes' if wish else 'no'}, as the recipe says"
    if isinstance(model.backbone, Saved):
        return False, "torch.compile: no; the net is small, and no estimate of what it would bring is known"
    if device.type == "cpu":
        return False, "torch.compile: no; on a CPU it has not been measured to train any quicker"
    if device.type not in PAYBACK:
        return False, f"torch.compile: no; what it brings on {device.type} is not known"
    needs = PAYBACK[device.type].operations(layers=_layers(model))
    has = 6.0 * learning(model) * tokens
    yes = has >= needs
    told = f"the training takes about {has:.1e} operations, and compiling pays back from {needs:.1e}"
    return yes, f"torch.compile: {'yes' if yes else 'no'}; {told}"


def learning(model: Model) -> int:
    """Weights of the backbone that a token is multiplied by: all that learn but the embedding tables."""
    tables = {id(module.weight) for module in model.backbone.modules() if isinstance(module, torch.nn.Embedding)}
    return sum(p.numel() for p in model.backbone.parameters() if p.requires_grad and id(p) not in tables)


def _layers(model: Model) -> int:
    config: Any = model.backbone.config
    return int(getattr(config, "num_hidden_layers", 0) or 12)

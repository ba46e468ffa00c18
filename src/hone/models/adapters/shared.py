"""Many adapters over one base in memory."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from hone.models.adapters.linear import tuned_modules
from hone.models.body import body_of
from hone.models.held import HeldLinear
from hone.models.model import Model, own_parts

BASE = ".base"  # how a module of the base is called beside an adapter


def share(model: Model, kept: dict[str, Tensor]) -> None:
    """Let ``model`` have the weights ``kept`` in place of its own copies of them, and keep those that are new there:
    all but what its adapter learned and its head. Nothing may change a shared weight afterwards.

    Args:
        kept: By name in the base; of one base in so many bits only, on one device.
    """
    modules = [*tuned_modules(model.backbone).values()]
    own = {id(value) for module in modules for _, value in module.own()}
    own |= {id(value) for part in own_parts(model).values() for value in part.parameters()}
    for place, module in body_of(model.backbone).named_modules():
        name = f"{place}.".replace(f"{BASE}.", ".")
        places = [module._parameters, *([module._buffers] if isinstance(module, HeldLinear) else [])]
        for values in cast(list[dict[str, Tensor | None]], places):
            for last, value in values.items():
                if value is not None and id(value) not in own:
                    values[last] = kept.setdefault(f"{name}{last}", value)

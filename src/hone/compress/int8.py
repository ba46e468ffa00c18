"""``int8`` and ``weight-only``: the backbone's linear layers and embedding tables as integers; the head stays."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hone.compress.calibration import calibration_rows
from hone.compress.settings import Int8Settings, WeightOnlySettings
from hone.compress.start import Made, Start
from hone.core.errors import RecipeError
from hone.models.grouped import GroupedLinear
from hone.models.int8 import Int8Linear, is_int8, to_int8
from hone.predict.batching import budgeted


def round_weights(settings: Int8Settings, start: Start) -> Made:
    """Round the weights, and look at texts first where the reach of activations is asked for.

    Raises:
        RecipeError: They are rounded already, or there are no texts to calibrate on.
    """
    require_float(start)
    reaches = _reaches(start, most=settings.calibration_rows) if settings.activations == "static" else {}

    def linear(layer: nn.Linear) -> nn.Module:
        return Int8Linear.of(layer, reach=reaches.get(layer))

    to_int8(start.model.backbone, linear=linear)
    return Made(start.model, start.task, {"activations": settings.activations})


def round_weights_alone(settings: WeightOnlySettings, start: Start) -> Made:
    """Round the weights; activations stay as they are.

    Raises:
        RecipeError: They are rounded already.
    """
    require_float(start)
    to_int8(start.model.backbone, linear=partial(GroupedLinear.of, bits=settings.bits, group=settings.group))
    return Made(start.model, start.task, {"bits": settings.bits})


def _reaches(start: Start, *, most: int) -> dict[nn.Module, Tensor]:
    """Of every linear layer of the backbone the lowest and highest input that calibration rows bring, float32 [2]."""
    model, rows = start.model.to("cpu").eval(), calibration_rows(start, most=most)
    found: dict[nn.Module, Tensor] = {}

    def look(layer: nn.Module, given: Any) -> None:
        low, high = torch.aminmax(given[0].detach())
        seen = torch.stack([low, high])
        before = found.get(layer, seen)
        found[layer] = torch.stack([torch.minimum(before[0], low), torch.maximum(before[1], high)])

    hooks = [layer.register_forward_pre_hook(look) for layer in model.backbone.modules() if type(layer) is nn.Linear]
    try:
        with torch.inference_mode(), model.module_by_module():
            for index in budgeted(rows.lengths):
                model(start.task.collate(rows, index))
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: reach.clone() for layer, reach in found.items()}


def require_float(start: Start) -> None:
    """Raise where the weights are integers already."""
    if is_int8(start.model.backbone):
        raise RecipeError(
            f"the weights of {start.bundle.path} are int8 already",
            expected="a bundle with float32 weights",
            fix="Give compress the bundle that this one was made from; put int8 last.",
            code="compress.int8",
        )

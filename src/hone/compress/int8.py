"""``int8`` and ``weight-only``: the backbone's linear layers and embedding tables as integers; the head stays."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from hone.compress.calibration import calibration_rows
from hone.compress.settings import Int8Settings, WeightOnlySettings
from hone.compress.start import Made, Start
from hone.core.errors import RecipeError
from hone.models.body import body_of
from hone.models.grouped import GroupedLinear
from hone.models.int8 import Int8Linear, fake_rounded, is_int8, steps, to_int8
from hone.models.model import Model
from hone.models.shapes import straight
from hone.predict.batching import budgeted

VALUES_A_CALL = 4096  # of a layer's inputs that are kept, and the lowest and highest of them
PARTS = [i / 16 for i in range(16, 3, -1)]  # of what lies below and above zero that are tried as its reach


def round_weights(settings: Int8Settings, start: Start) -> Made:
    """Round the weights, and look at texts first where the reach of activations is asked for.

    Raises:
        RecipeError: They are rounded already, or there are no texts to calibrate on.
    """
    require_float(start)
    straight(start.model.backbone)
    reaches = _reaches(start, most=settings.calibration_rows) if settings.activations == "static" else {}

    stays = own_head(start.model)

    def linear(layer: nn.Linear) -> nn.Module:
        return layer if layer in stays else Int8Linear.of(layer, reach=reaches.get(layer))

    to_int8(start.model.backbone, linear=linear)
    return Made(start.model, start.task, {"activations": settings.activations})


def round_weights_alone(settings: WeightOnlySettings, start: Start) -> Made:
    """Round the weights; activations stay as they are.

    Raises:
        RecipeError: They are rounded already.
    """
    require_float(start)
    backbone: Any = start.model.backbone
    straight(backbone)
    exact = set(backbone._keep_in_fp32_modules or ())  # which transformers spares, such as T5's wo
    spared = {layer for name, layer in backbone.named_modules() if name.rpartition(".")[2] in exact}
    stays = own_head(start.model)

    def linear(layer: nn.Linear) -> nn.Module:
        bits = 8 if layer in spared else settings.bits
        return layer if layer in stays else GroupedLinear.of(layer, bits=bits, group=settings.group)

    to_int8(backbone, linear=linear)
    return Made(start.model, start.task, {"bits": settings.bits})


def own_head(model: Model) -> set[nn.Module]:
    """What of the backbone is transformers' own head and stays as heads of hone's own do: it is small, and scores that
    are close are told apart by it. One over the vocabulary is as large as the table of tokens, and rounded with it."""
    head: Any = model.head
    if head.gives != "logits" or head.writes or head.sparse:
        return set()
    backbone: Any = model.backbone
    return set(backbone.modules()) - set(body_of(backbone).modules())


def _reaches(start: Start, *, most: int) -> dict[nn.Module, Tensor]:
    """Of every linear layer of the backbone the reach of what calibration rows bring it, float32 [2]."""
    model, rows = start.model.to("cpu").eval(), calibration_rows(start, most=most)
    seen: dict[nn.Module, list[Tensor]] = {}

    def look(layer: nn.Module, given: Any) -> None:
        values = given[0].detach().flatten()
        some = values[:: max(1, len(values) // VALUES_A_CALL)]
        seen.setdefault(layer, []).append(torch.cat([some, torch.stack(torch.aminmax(values))]))

    hooks = [layer.register_forward_pre_hook(look) for layer in model.backbone.modules() if type(layer) is nn.Linear]
    try:
        with torch.inference_mode(), model.module_by_module():
            for index in budgeted(rows.lengths):
                model(start.task.collate(rows, index))
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: nearest_reach(torch.cat(values)) for layer, values in seen.items()}


def nearest_reach(values: Tensor) -> Tensor:
    """The lowest and the highest input, float32 [2], between which ``values`` [n] are rounded with the least squared
    error, what lies outside cut off (the calibration of Banner et al. 2019, by trial)."""
    low, high = (float(end) for end in torch.aminmax(values))
    best, least = (low, high), math.inf
    for a, b in itertools.product(PARTS, PARTS):
        scale, zero = steps(torch.tensor(low * a), torch.tensor(high * b))
        error = float((fake_rounded(values, scale, zero) - values).square().mean())
        if error < least:
            best, least = (low * a, high * b), error
    return torch.tensor(best)


def require_float(start: Start) -> None:
    """Raise where the weights are integers already."""
    if is_int8(start.model.backbone):
        raise RecipeError(
            f"the weights of {start.bundle.path} are int8 already",
            expected="a bundle with float32 weights",
            fix="Give compress the bundle that this one was made from; put int8 last.",
            code="compress.int8",
        )

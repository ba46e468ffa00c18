"""``int8``: every linear layer and embedding table of the backbone in eight bits; the head stays as it is."""

from __future__ import annotations

from hone.compress.settings import Int8Settings
from hone.compress.start import Made, Start
from hone.core.errors import RecipeError
from hone.models.int8 import is_int8, to_int8


def round_weights(settings: Int8Settings, start: Start) -> Made:
    """Round the weights.

    Raises:
        RecipeError: They are rounded already.
    """
    require_float(start)
    to_int8(start.model.backbone)
    return Made(start.model, start.task, {})


def require_float(start: Start) -> None:
    """Raise where the weights are int8 already."""
    if is_int8(start.model.backbone):
        raise RecipeError(
            f"the weights of {start.bundle.path} are int8 already",
            expected="a bundle with float32 weights",
            fix="Give compress the bundle that this one was made from; put int8 last.",
            code="compress.int8",
        )

"""`body_of`: what of a transformers model gives states."""

from __future__ import annotations

from typing import Any


def body_of(backbone: Any) -> Any:
    """The pretrained part of a transformers model: without a head of transformers' own."""
    return getattr(backbone, backbone.base_model_prefix, backbone)

"""A model that writes with some of its layers, as transformers would have made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.models.restacked import restacked

BART = {"model.encoder.layers": "encoder_layers", "model.decoder.layers": "decoder_layers"}
STACKS: dict[str, dict[str, str]] = {
    "gpt2": {"transformer.h": "n_layer"},
    **dict.fromkeys(("bart", "mbart", "marian", "pegasus"), BART),
    **{kind: {"encoder.block": "num_layers", "decoder.block": "num_decoder_layers"} for kind in ("t5", "mt5")},
}  # type of model -> where its layers are, the encoder's first -> what its configuration calls their number


def depths_of(config: Any) -> dict[str, int]:
    """How many layers each stack of a model of this configuration has; none where its type is not known here."""
    return {stack: int(getattr(config, key)) for stack, key in STACKS.get(config.model_type, {}).items()}


def spread_evenly(had: int, count: int) -> tuple[int, ...]:
    """Which ``count`` of so many layers, from 0, stay: evenly spread, the last among them."""
    return tuple(round((i + 1) * had / count) - 1 for i in range(count))


def shortened(backbone: Any, kept: Mapping[str, Sequence[int]]) -> Any:
    """A new model with copies of the layers ``kept`` of each stack, in their order, and of all else."""
    return restacked(backbone, kept, keys=STACKS[backbone.config.model_type])

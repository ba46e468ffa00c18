"""A model that writes with some of its layers, as transformers would have made it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hone.models.quiet import quiet_loading

BART = {"model.encoder.layers": "encoder_layers", "model.decoder.layers": "decoder_layers"}
STACKS: dict[str, dict[str, str]] = {
    "gpt2": {"transformer.h": "n_layer"},
    **dict.fromkeys(("bart", "mbart", "marian", "pegasus"), BART),
    **{kind: {"encoder.block": "num_layers", "decoder.block": "num_decoder_layers"} for kind in ("t5", "mt5")},
}  # type of model -> where its layers are, the encoder's first -> what its configuration calls their number
SHARED = re.compile(r"0\.layer\.0\.SelfAttention\.relative_attention_bias\.")  # T5's first layer has it for all


def depths_of(config: Any) -> dict[str, int]:
    """How many layers each stack of a model of this configuration has; none where its type is not known here."""
    return {stack: int(getattr(config, key)) for stack, key in STACKS.get(config.model_type, {}).items()}


def shortened(backbone: Any, kept: Mapping[str, Sequence[int]]) -> Any:
    """A new model with copies of the layers ``kept`` of each stack, in their order, and of all else."""
    config = copy.deepcopy(backbone.config)
    for stack, key in STACKS[config.model_type].items():
        setattr(config, key, len(kept[stack]))
    if config.model_type in ("bart", "mbart", "marian", "pegasus"):
        config.num_hidden_layers = config.encoder_layers
    with quiet_loading():
        made = type(backbone)(config)
    state = {}
    for name, value in backbone.state_dict().items():
        holder = next((stack for stack in kept if name.startswith(f"{stack}.")), None)
        if holder is None:
            state[name] = value
            continue
        at, _, rest = name.removeprefix(f"{holder}.").partition(".")
        if SHARED.match(f"{at}.{rest}"):
            state[f"{holder}.0.{rest}"] = value
        elif int(at) in kept[holder]:
            state[f"{holder}.{list(kept[holder]).index(int(at))}.{rest}"] = value
    made.load_state_dict(state)
    made.generation_config = copy.deepcopy(backbone.generation_config)
    return made

"""The same model with other layers: some of those it has, some of them several times."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hone.models.quiet import quiet_loading

SHARED = re.compile(r"0\.layer\.0\.SelfAttention\.relative_attention_bias\.")  # T5's first layer has it for all


def restacked(backbone: Any, taken: Mapping[str, Sequence[int]], *, keys: Mapping[str, str]) -> Any:
    """A new model with copies of the layers ``taken`` of each stack, in their order, and of all else.

    Args:
        backbone: Of transformers' own.
        taken: Where the layers of each stack are -> which of them.
        keys: The same places -> what the configuration calls the number of layers.
    """
    config = copy.deepcopy(backbone.config)
    for place, key in keys.items():
        setattr(config, key, len(taken[place]))
    if config.is_encoder_decoder and hasattr(config, "encoder_layers"):
        config.num_hidden_layers = config.encoder_layers
    with quiet_loading():
        made = type(backbone)(config)
    state = {}
    for name, value in backbone.state_dict().items():
        stack = next((stack for stack in taken if name.startswith(f"{stack}.")), None)
        if stack is None:
            state[name] = value
            continue
        at, _, rest = name.removeprefix(f"{stack}.").partition(".")
        if SHARED.match(f"{at}.{rest}"):
            state[f"{stack}.0.{rest}"] = value
            continue
        state |= {f"{stack}.{i}.{rest}": value for i, layer in enumerate(taken[stack]) if layer == int(at)}
    made.load_state_dict(state)
    if backbone.can_generate():
        made.generation_config = copy.deepcopy(backbone.generation_config)
    return made

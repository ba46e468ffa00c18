"""Which encoders make the same states of embeddings that they are given as of those that they look up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from hone.models.adapters.method import Shapes
from hone.models.adapters.prompts import P_TUNING, PROMPT
from hone.models.quiet import quiet_loading

SMALL = {
    "vocab_size": 32, "d_model": 16, "max_position_embeddings": 32, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None,
}  # fmt: skip
KINDS = ("Bart", "BlenderbotSmall", "Blenderbot", "M2M100", "Marian", "MBart", "Mvp", "Pegasus", "PLBart")


def states(encoder: Any, **given: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = encoder(**given).last_hidden_state
    return found


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_stand_before_a_source_where_given_embeddings_are_scaled_as_looked_up_ones(
    kind: str, scaled: bool
) -> None:
    config = getattr(transformers, f"{kind}Config")(**SMALL, scale_embedding=scaled)
    with quiet_loading():
        model = getattr(transformers, f"{kind}Model")(config).eval()
    ids = torch.tensor([[4, 5, 6, 2]])
    looked_up = states(model.get_encoder(), input_ids=ids)
    given = states(model.get_encoder(), inputs_embeds=model.get_input_embeddings()(ids))
    same = bool(torch.allclose(looked_up, given, atol=1e-5))
    assert [method.goes_with(config) for method in (PROMPT, P_TUNING)] == [same, same]


@pytest.mark.parametrize("method", [PROMPT, P_TUNING])
def test_a_base_that_scales_what_it_looks_up_alone_is_refused_before_training(method: Any) -> None:
    config = transformers.PegasusConfig(**SMALL, scale_embedding=True)
    (fault,) = method.faults(method.settings(), Shapes(config, {}))
    assert (fault.code, fault.found) == ("recipe.method-base", f"{method.name}, and a base of type 'pegasus'")
    assert "pegasus without scale_embedding" in fault.expected

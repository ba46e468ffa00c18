"""How many keys and values stand before a text: as many as a decoder keeps of each of its own tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    DeepseekV3Config,
    DynamicCache,
    FalconConfig,
    FalconForCausalLM,
    GPTBigCodeConfig,
    GPTBigCodeForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from hone.models.adapters.prompts import PREFIX, PROMPT, StatesBefore, keys_of

SMALL = {"vocab_size": 32, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 16}
KINDS: dict[str, tuple[type, Any]] = {
    "falcon, one head": (FalconForCausalLM, FalconConfig(**SMALL)),
    "falcon, heads of each": (FalconForCausalLM, FalconConfig(**SMALL, multi_query=False)),
    "falcon, groups": (FalconForCausalLM, FalconConfig(**SMALL, new_decoder_architecture=True, num_kv_heads=2)),
    "bigcode": (GPTBigCodeForCausalLM, GPTBigCodeConfig(vocab_size=32, n_embd=32, n_head=4, n_layer=2)),
    "llama, groups": (LlamaForCausalLM, LlamaConfig(**SMALL, num_key_value_heads=2)),
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_stands_before_a_text_has_the_heads_that_the_decoder_keeps(name: str) -> None:
    kind, config = KINDS[name]
    model = kind(config).eval()
    assert PREFIX.goes_with(config)
    cache = DynamicCache()
    model(input_ids=torch.tensor([[1, 2, 3]]), past_key_values=cache, use_cache=True)
    assert keys_of(config) == (cache.layers[0].keys.shape[1], cache.layers[0].keys.shape[3])
    before = StatesBefore(torch.randn(3, PREFIX.values(config)))
    batch = {"input_ids": torch.tensor([[1, 2], [3, 0]]), "attention_mask": torch.tensor([[1, 1], [1, 0]])}
    assert model(**before.given(model, batch)).logits.shape == (2, 2, 32)


def test_a_decoder_that_keeps_no_heads_takes_embeddings_alone() -> None:
    config = DeepseekV3Config(num_hidden_layers=2)
    assert PROMPT.goes_with(config)
    assert not PREFIX.goes_with(config)
    assert "keep keys and values" in PREFIX.bases()

"""Heads over the vocabulary are asked at some places alone, and say there what transformers' own class says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertGenerationConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    LukeConfig,
    ModernBertConfig,
    XLMConfig,
)

from hone.core.errors import RecipeError
from hone.models.masked import knows_head, scores_at

SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 24, "max_position_embeddings": 32, "pad_token_id": 0}  # fmt: skip
MODERN = {**SIZES, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
KNOWN = {
    "bert": BertConfig(**SIZES),
    "deberta-v2": DebertaV2Config(**SIZES),
    "deberta-v2-own": DebertaV2Config(**SIZES, legacy=False),
    "distilbert": DistilBertConfig(vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=24),
    "electra": ElectraConfig(**SIZES, embedding_size=8),
    "modernbert": ModernBertConfig(**MODERN),
}
OTHERS = {
    "luke": LukeConfig(**SIZES, entity_vocab_size=9, entity_emb_size=8),  # a second head, over entities
    "xlm": XLMConfig(vocab_size=60, emb_dim=16, n_layers=1, n_heads=2),
    "bert-generation": BertGenerationConfig(**SIZES),  # of which there is no masked language model
}


@pytest.mark.parametrize("family", KNOWN)
def test_a_head_says_at_some_places_what_the_class_says_there(family: str) -> None:
    torch.manual_seed(3)
    model: Any = AutoModelForMaskedLM.from_config(KNOWN[family]).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # every part counts
    given = {"input_ids": torch.randint(5, 60, (2, 7)), "attention_mask": torch.ones(2, 7, dtype=torch.int64)}
    places = torch.tensor([[0, 1], [0, 6], [1, 3]])
    with torch.inference_mode():
        expected = model(**given).logits[places[:, 0], places[:, 1]]
        found = scores_at(model, given, places)
    torch.testing.assert_close(found, expected)
    assert expected.std() > 0.1
    assert knows_head(KNOWN[family])


@pytest.mark.parametrize("family", OTHERS)
def test_a_head_that_is_not_known_is_told_before_a_weight_is_made(family: str) -> None:
    assert not knows_head(OTHERS[family])


def test_a_head_that_is_not_known_says_nothing() -> None:
    model: Any = AutoModelForMaskedLM.from_config(OTHERS["luke"])
    with pytest.raises(RecipeError) as caught:
        scores_at(model, {}, torch.zeros(1, 2, dtype=torch.int64))
    assert caught.value.code == "base.no-masked-head"

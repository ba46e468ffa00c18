"""Dropout is told to every part of a base that has any, whatever its family calls it."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn
from transformers import AutoModel, BertConfig, DistilBertConfig, ModernBertConfig

from hone.models.dropout import drops_out, set_dropout

SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 24, "pad_token_id": 0}  # fmt: skip
MODERN = {**SIZES, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
NONE = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def test_modernbert_drops_out_of_nothing_by_itself_and_of_everything_where_asked() -> None:
    config = ModernBertConfig(**MODERN)
    assert not drops_out(config)
    set_dropout(config, 0.3, own=False)
    assert drops_out(config)
    model: Any = AutoModel.from_config(config)
    shares = [part.p for part in model.modules() if isinstance(part, nn.Dropout)]
    assert len(shares) >= 1 + 2  # of the embeddings, and of each layer's block
    assert set(shares) == {0.3}
    assert model.layers[0].attn.attention_dropout == 0.3


@pytest.mark.parametrize(
    ("config", "does"),
    [
        (BertConfig(**SIZES), True),
        (BertConfig(**SIZES, **NONE, classifier_dropout=0.2), False),  # that is a head's
        (DistilBertConfig(dim=16, n_layers=2, n_heads=2, dropout=0.0, attention_dropout=0.0), False),
    ],
)
def test_a_base_drops_out_where_one_of_its_own_shares_is_above_nothing(config: Any, does: bool) -> None:
    assert drops_out(config) == does

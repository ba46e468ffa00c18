"""A base that is grown by layers which add nothing tells what it told before, whatever its kind, and can learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as t
from torch import nn

from hone.models.architectures import GrowthSettings
from hone.models.grown_base import FAMILIES, with_more_layers

SMALL: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                         "intermediate_size": 32, "max_position_embeddings": 24}  # fmt: skip
IDS = torch.randint(3, 40, (3, 9), generator=torch.Generator().manual_seed(0))


def bart() -> Any:
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder")
             for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
    config = t.BartConfig(vocab_size=40, d_model=16, max_position_embeddings=24, **sizes)
    return t.BartForConditionalGeneration(config)


MODELS: dict[str, Callable[[], Any]] = {
    "bert": lambda: t.BertForMaskedLM(t.BertConfig(**SMALL)),
    "camembert": lambda: t.CamembertForMaskedLM(t.CamembertConfig(**SMALL)),
    "electra": lambda: t.ElectraModel(t.ElectraConfig(**SMALL, embedding_size=16)),
    "roberta": lambda: t.RobertaModel(t.RobertaConfig(**SMALL)),
    "xlm-roberta": lambda: t.XLMRobertaModel(t.XLMRobertaConfig(**SMALL)),
    "distilbert": lambda: t.DistilBertForMaskedLM(
        t.DistilBertConfig(vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=24)
    ),
    "bart": bart,
    "gpt2": lambda: t.GPT2LMHeadModel(t.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=24)),
    "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**SMALL)),
    "t5": lambda: t.T5ForConditionalGeneration(
        t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)
    ),
    "mt5": lambda: t.MT5ForConditionalGeneration(
        t.MT5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)
    ),
}


def drawn(kind: str) -> Any:
    """A model none of whose norms is as it began."""
    torch.manual_seed(1)
    model = MODELS[kind]().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return model


def told(model: Any) -> torch.Tensor:
    given = {"decoder_input_ids": IDS[:, :5]} if model.config.is_encoder_decoder else {}
    scores: torch.Tensor = model(input_ids=IDS, **given)[0]
    return scores


def test_every_family_is_held_to_the_law() -> None:
    assert set(MODELS) == set(FAMILIES)


@pytest.mark.parametrize("kind", MODELS)
def test_layers_that_add_nothing_keep_every_logit_and_learn(kind: str) -> None:
    model = drawn(kind)
    grown = with_more_layers(model, GrowthSettings(grow=kind, layers=5, how="identity"), name=kind).eval()
    torch.testing.assert_close(told(grown), told(model), atol=1e-5, rtol=1e-5)
    told(grown).square().sum().backward()
    still = [name for name, value in grown.named_parameters() if not value.any() and value.dim() == 2]
    assert still
    assert all(grown.get_parameter(name).grad.any() for name in still)


@pytest.mark.parametrize("kind", ["bert", "t5"])
@pytest.mark.parametrize(("how", "order"), [("stack", [0, 1, 0, 1, 1]), ("interleave", [0, 0, 0, 1, 1])])
def test_copies_stand_where_they_are_said_to(kind: str, how: Any, order: list[int]) -> None:
    model = drawn(kind)
    grown = with_more_layers(model, GrowthSettings(grow=kind, layers=5, how=how), name=kind)
    place = {"bert": "bert.encoder.layer", "t5": "decoder.block"}[kind]
    old, new = model.get_submodule(place), grown.get_submodule(place)
    for layer, source in zip(new, order, strict=True):
        for name, value in layer.named_parameters():
            if "relative_attention_bias" not in name:
                assert torch.equal(value, old[source].get_parameter(name))

"""How a new BERT begins: half of its heads look at the tokens beside each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from hone.models.architectures import BertSettings
from hone.models.beside import begin

WIDTH, HEADS, LENGTH = 96, 6, 200


def made(heads_begin: str, *, width: int = WIDTH, heads: int = HEADS, **more: Any) -> BertModel:
    torch.manual_seed(1)
    sizes = {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": 2, "vocab_size": 300,
             "intermediate_size": 2 * width, "max_position_embeddings": LENGTH, "hidden_dropout_prob": 0.0,
             "attention_probs_dropout_prob": 0.0}  # fmt: skip
    model = BertModel(BertConfig(**{**sizes, **more}, attn_implementation="eager"))
    begin(model, BertSettings(heads_begin=heads_begin))
    return model.eval()


def attention(model: BertModel) -> Tensor:
    """Of random tokens: [layers, heads, LENGTH, LENGTH]."""
    ids = torch.randint(300, (1, LENGTH), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return torch.cat(model(ids, output_attentions=True).attentions)


@pytest.mark.parametrize("heads", [6, 4, 2])
def test_each_of_half_the_heads_looks_at_one_place_beside_a_token(heads: int) -> None:
    """The one before, the one behind, two before and so on, in every layer; the others look everywhere alike."""
    seen, steps = attention(made("beside", heads=heads)), [-1, 1, -2][: heads // 2]
    rows, far = torch.arange(20, LENGTH - 20), list(range(-20, 21))
    for layer in seen:
        for head, step in enumerate(steps):
            mean = torch.stack([layer[head, rows, rows + away].mean() for away in far])
            first, second = mean.topk(2).values
            assert far[int(mean.argmax())] == step
            assert first > 8 / LENGTH
            assert first > 1.5 * second
        assert layer[len(steps) :].max() < 3 / LENGTH


def test_positions_are_as_large_as_they_were_and_nothing_else_changes() -> None:
    plain, beside = made("random").state_dict(), made("beside").state_dict()
    positions = "embeddings.position_embeddings.weight"
    assert float(beside[positions].std()) == pytest.approx(float(plain[positions].std()), rel=0.05)
    own = WIDTH // HEADS * (HEADS // 2)
    for name, value in plain.items():
        if name == positions:
            continue
        if ".self.query.weight" in name or ".self.key.weight" in name:
            assert not torch.equal(beside[name][:own], value[:own])
            assert torch.equal(beside[name][own:], value[own:])
        else:
            assert torch.equal(beside[name], value)


@pytest.mark.parametrize(("width", "heads"), [(15, 3), (8, 8), (7, 1)])
def test_odd_widths_and_single_heads_begin_too(width: int, heads: int) -> None:
    model = made("beside", width=width, heads=heads)
    assert attention(model).isfinite().all()


def test_what_stands_beside_a_token_is_learned_sooner() -> None:
    """Texts of 100 tokens, each telling the next one four times of five, three of ten masked: heads that begin at
    random are still near the loss of guessing, ln 100."""
    lost = {}
    for how in ("beside", "random"):
        model, head, drawn = made(how, width=64, heads=4), nn.Linear(64, 100), torch.Generator().manual_seed(3)
        optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=2e-3)
        after, losses = torch.randperm(100, generator=drawn), []
        for _ in range(90):
            ids = torch.randint(100, (32, 24), generator=drawn)
            follows = torch.rand(ids.shape, generator=drawn) < 0.8
            for place in range(1, 24):
                ids[:, place] = torch.where(follows[:, place], after[ids[:, place - 1]], ids[:, place])
            masked = torch.rand(ids.shape, generator=drawn) < 0.3
            states = model(torch.where(masked, 299, ids)).last_hidden_state
            loss = nn.functional.cross_entropy(head(states[masked]), ids[masked])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        lost[how] = sum(losses[-10:]) / 10
    assert lost["random"] > 4.1
    assert lost["beside"] < lost["random"] - 0.7

"""The recurrent encoder-decoder: step by step as at once, rows side by side as alone, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hone.models.architectures import RnnSeq2SeqSettings
from hone.models.rnn_seq2seq import RnnSeq2Seq, config
from hone.models.writers.make import writer_of

VOCABULARY, START = 30, 1
Rows = list[list[int]]


def made(**sizes: float) -> RnnSeq2Seq:
    settings = RnnSeq2SeqSettings(**{"hidden": 16, "embedding": 12, **sizes})  # type: ignore[arg-type]
    whole = config(settings, VOCABULARY)
    whole.decoder_start_token_id = START
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RnnSeq2Seq(whole).eval()


@pytest.fixture(params=[{}, {"layers": 1}, {"layers": 1, "decoder_layers": 3}], ids=str)
def model(request: pytest.FixtureRequest) -> RnnSeq2Seq:
    return made(**request.param)


def padded(rows: Rows) -> dict[str, Tensor]:
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
    }


SOURCES: Rows = [[5, 6, 7, 2], [9, 2], [11, 12, 13, 14, 15, 2]]
TARGETS = torch.tensor([[START, 8, 9, 10], [START, 7, 7, 3], [START, 20, 4, 21]])


@torch.inference_mode()
def test_step_by_step_is_as_at_once(model: RnnSeq2Seq) -> None:
    at_once = model(**padded(SOURCES), decoder_input_ids=TARGETS).logits
    writer = writer_of(model)
    state, logits = writer.begin(**padded(SOURCES))
    for i in range(TARGETS.shape[1]):
        assert torch.allclose(logits, at_once[:, i], atol=1e-6)
        if i + 1 < TARGETS.shape[1]:
            logits = writer.step(state, TARGETS[:, i + 1])


@torch.inference_mode()
def test_rows_are_reordered_repeated_and_dropped(model: RnnSeq2Seq) -> None:
    writer = writer_of(model)
    state, _ = writer.begin(**padded(SOURCES))
    index = torch.tensor([2, 0, 2])
    state.take(index)
    assert len(state) == 3
    logits = writer.step(state, torch.tensor([20, 8, 20]))
    expected = model(**padded(SOURCES), decoder_input_ids=TARGETS).logits[index, 1]
    assert torch.allclose(logits, expected, atol=1e-6)


@torch.inference_mode()
def test_rows_at_different_places_are_joined(model: RnnSeq2Seq) -> None:
    writer = writer_of(model)
    assert writer.joins
    state, _ = writer.begin(**padded(SOURCES[:2]))
    writer.step(state, TARGETS[:2, 1])
    other, _ = writer.begin(**padded(SOURCES[2:]))
    state.join(other)
    logits = writer.step(state, torch.cat([TARGETS[:2, 2], TARGETS[2:, 1]]))
    expected = model(**padded(SOURCES), decoder_input_ids=TARGETS).logits
    assert torch.allclose(logits, torch.stack([expected[0, 2], expected[1, 2], expected[2, 1]]), atol=1e-6)


@torch.inference_mode()
def test_states_are_left_where_asked_for(model: RnnSeq2Seq) -> None:
    writer = writer_of(model)
    state, logits = writer.begin(**padded(SOURCES), hidden=True)
    assert state.hidden is not None
    assert state.hidden.shape == (3, 1, 12)
    assert torch.allclose(model.lm_head(state.hidden[:, 0]), logits)
    assert writer.begin(**padded(SOURCES))[0].hidden is None


@torch.inference_mode()
def test_attention_is_luongs(model: RnnSeq2Seq) -> None:
    """What is found for the first step, spelled out for one text: a softmax over products through one matrix."""
    source = model.read(**padded([SOURCES[0]]))
    carried = model.begin(source)
    below, _ = model.lowest(model.word_embeddings(TARGETS[:1, :1]), (carried.hidden[:1], carried.cell[:1]))
    scores = torch.stack([below[0, 0] @ model.keys.weight @ state for state in source.states[0]])
    found = sum(share * state for share, state in zip(scores.softmax(0), source.states[0], strict=True))
    top = below[0, 0]
    if model.above is not None:
        both = torch.cat([top, found])[None, None]
        top = model.above(both, (carried.hidden[1:, :1], carried.cell[1:, :1]))[0][0, 0]
    expected = model.lm_head(torch.tanh(model.combined(torch.cat([top, found]))))
    assert torch.allclose(model(**padded([SOURCES[0]]), decoder_input_ids=TARGETS[:1, :1]).logits[0, 0], expected,
                          atol=1e-6)  # fmt: skip


def test_it_learns_to_turn_a_text_around() -> None:
    model = made(hidden=32, embedding=32, layers=1, dropout=0.0).train()
    draw = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        source = torch.randint(3, 8, (32, 4), generator=draw)
        target = torch.cat([torch.full((32, 1), START), source.flip(1)], dim=1)
        logits = model(source, torch.ones_like(source), target[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1.0  # of five tokens at random: 1.6

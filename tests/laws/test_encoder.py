"""The quick encoder is transformers' own: the same states and gradients, padded or not, and sound derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from hone.compress.low_rank import factored_layer
from hone.compress.prune import cut_heads, cut_inner
from hone.models import attention
from hone.models.attention import HIDDEN, Attention, spans
from hone.models.blocks import AttentionBlock, AttentionPlan, FeedForwardBlock, Layout
from hone.models.encoder import FAMILIES, Encoder, Reads, quicken
from hone.models.noise import Noise
from hone.models.shapes import FactoredLinear
from hone.models.tiny import write_tiny_base

SIZES = {"vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
ROWS, TOKENS, WIDTH = 5, 9, 24
LENGTHS = {"padded": [9, 1, 4, 7, 2], "even": [9] * 5}


def backbone(family: str, **changes: Any) -> Any:
    """A random model in evaluation mode with weights large enough for every part to count."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(family, **SIZES, pad_token_id=1, **changes)
    model = transformers.AutoModel.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def inputs(lengths: list[int]) -> dict[str, Tensor]:
    ids = torch.randint(2, 64, (ROWS, TOKENS), generator=torch.Generator().manual_seed(4))
    mask = (torch.arange(TOKENS) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": torch.where(mask.bool(), ids, 1), "attention_mask": mask}


def states_and_gradients(model: Any, batch: dict[str, Tensor], *, reads: Reads) -> tuple[Tensor, dict[str, Tensor]]:
    """The states that are read, zeros elsewhere, and the gradients of a fixed weighing of them."""
    asked = 1 if reads == "first" else TOKENS
    states = model(**batch).last_hidden_state[:, :asked] * batch["attention_mask"][:, :asked, None]
    weighing = torch.randn(ROWS, TOKENS, WIDTH, generator=torch.Generator().manual_seed(5))[:, :asked]
    (states * weighing).sum().backward()
    return states.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("reads", ["tokens", "first"])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_states_and_gradients_are_those_of_transformers(family: str, reads: Reads, lengths: str) -> None:
    batch = inputs(LENGTHS[lengths])
    theirs = states_and_gradients(backbone(family), batch, reads=reads)
    model = backbone(family)
    quicken(model, reads=reads, noise=Noise())
    assert isinstance(model.encoder, Encoder)
    ours = states_and_gradients(model, batch, reads=reads)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(
            ours[1][name], gradient, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


def shaped(family: str) -> Any:
    """A model whose layers differ: in heads, in inner units, and in which weights are two factors."""
    model = backbone(family)
    layers = model.encoder.layer
    for layer, heads, units in zip(layers, ([1], [0, 2, 3], [0, 1, 2, 3]), (7, 40, 12), strict=True):
        cut_heads(layer, torch.tensor(heads), size=6)
        cut_inner(layer, torch.arange(units))
    for module, name in [
        (layers[1].attention.self, "query"), (layers[1].attention.self, "key"), (layers[1].attention.self, "value"),
        (layers[2].attention.self, "value"), (layers[2].attention.output, "dense"), (layers[0].output, "dense"),
    ]:  # fmt: skip
        setattr(module, name, factored_layer(getattr(module, name), None, share=0.8, of="weights"))
        assert isinstance(getattr(module, name), FactoredLinear)
    return model


@pytest.mark.parametrize("reads", ["tokens", "first"])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_layers_of_their_own_shapes_do_what_transformers_modules_do(reads: Reads, lengths: str) -> None:
    batch = inputs(LENGTHS[lengths])
    model = shaped("bert")
    encoder = quicken(model, reads=reads, noise=Noise())
    assert encoder is not None
    assert [encoder.heads(layer) for layer in encoder.layer] == [1, 3, 4]
    with encoder.aside():
        theirs = states_and_gradients(model, batch, reads=reads)
    theirs = theirs[0], {name: gradient.clone() for name, gradient in theirs[1].items()}
    model.zero_grad()
    ours = states_and_gradients(model, batch, reads=reads)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient, rtol=1e-3, atol=2e-4)
    encoder.fixed = True
    for _ in range(2):
        with torch.inference_mode():
            asked = 1 if reads == "first" else TOKENS
            answered = model(**batch).last_hidden_state[:, :asked] * batch["attention_mask"][:, :asked, None]
        torch.testing.assert_close(answered, theirs[0], rtol=1e-4, atol=1e-5)


def test_a_layer_is_left_out_for_a_while() -> None:
    model, batch = backbone("bert"), inputs(LENGTHS["padded"])
    encoder = quicken(model, reads="tokens", noise=Noise())
    assert encoder is not None
    with torch.inference_mode():
        before = model(**batch).last_hidden_state.clone()
        with encoder.without(1):
            skipped = model(**batch).last_hidden_state.clone()
        assert torch.equal(model(**batch).last_hidden_state, before)
        encoder.keep([0, 2])
        assert torch.equal(model(**batch).last_hidden_state, skipped)
    assert not torch.allclose(before, skipped)


def test_answers_follow_weights_that_change_until_they_are_fixed() -> None:
    """Fused optimizers do not count their writes, so that nothing may be kept of weights that learn."""
    model, batch = backbone("bert"), inputs(LENGTHS["padded"])
    encoder = quicken(model, reads="tokens", noise=Noise())
    assert encoder is not None

    def answer() -> Tensor:
        with torch.inference_mode():
            states: Tensor = model(**batch).last_hidden_state.clone()
        return states

    before = answer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(**batch).last_hidden_state.sum().backward()
    optimizer.step()
    learned = answer()
    assert not torch.allclose(before, learned)
    encoder.fixed = True
    torch.testing.assert_close(answer(), learned, rtol=0, atol=0)
    torch.testing.assert_close(answer(), learned, rtol=0, atol=0)


def test_the_parameters_keep_their_names() -> None:
    model = backbone("bert")
    names = list(model.state_dict())
    quicken(model, reads="tokens", noise=Noise())
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("changes", [{"hidden_act": "relu"}, {"is_decoder": True}])
def test_what_it_does_not_know_stays_as_it_is(changes: dict[str, Any]) -> None:
    model = backbone("bert", **changes)
    quicken(model, reads="tokens", noise=Noise())
    assert not isinstance(model.encoder, Encoder)


def test_other_precisions_go_through_transformers_own_encoder() -> None:
    plain, quick = backbone("bert").double(), backbone("bert").double()
    quicken(quick, reads="tokens", noise=Noise())
    batch = inputs(LENGTHS["padded"])
    assert torch.equal(plain(**batch).last_hidden_state, quick(**batch).last_hidden_state)


def layout(lengths: list[int]) -> Layout:
    real = torch.arange(TOKENS) < torch.tensor(lengths)[:, None]
    counts = real.sum(1)
    bias = torch.zeros(ROWS, 1, TOKENS, dtype=torch.float64).masked_fill_(~real[:, None], HIDDEN)
    places = real.flatten().nonzero().squeeze(1)
    return Layout(ROWS, TOKENS, places, counts.cumsum(0) - counts, tuple(lengths), bias)


def draw(*shape: int, seed: int) -> Tensor:
    made = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (made * 0.4).requires_grad_()


SIZED = {"at-once": {}, "in-parts": {"PART_BYTES": 700}, "by-heads": {"PART_BYTES": 1}, "made-again": {"KEPT_BYTES": 0}}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("sized", SIZED)
def test_attention_derives_as_its_numeric_differences(
    first: bool, dropped: bool, sized: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SIZED[sized].items():
        monkeypatch.setattr(attention, name, value)
    width, heads, where = 4, 2, layout(LENGTHS["padded"])
    count = sum(LENGTHS["padded"])
    assert where.bias is not None
    plan = AttentionPlan(
        layout=where,
        attention=Attention(
            spans(where.lengths, heads=heads), where.bias.repeat_interleave(heads, dim=0),
            drop=0.4, ticket=(1, 2, 3) if dropped else None,
        ),
        heads=heads, eps=1e-5, first=first,
        keep=(draw(ROWS if first else count, width, seed=91) > 0).double() * 2 if dropped else None,
    )  # fmt: skip
    shapes = [(count, width), *[(width, width), (width,)] * 4, (width,), (width,)]
    given = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(lambda *given: AttentionBlock.apply(*given, plan), given, fast_mode=True)


@pytest.mark.parametrize("lengths", [[17] * 32, [512, 510, 90, 3], [1], [3000, 2]])
def test_spans_cover_every_head_once_and_reach_as_far_as_its_row(lengths: list[int]) -> None:
    heads = 12
    parts = spans(lengths, heads=heads)
    covered = [at for part in parts for at in range(part.begin, part.end)]
    assert covered == list(range(len(lengths) * heads))
    assert all(part.length == max(lengths[at // heads] for at in range(part.begin, part.end)) for part in parts)
    alone = [part for part in parts if part.end - part.begin > 1]
    assert all((part.end - part.begin) * part.length**2 * 4 <= attention.PART_BYTES for part in alone)


def test_what_stands_where_a_row_is_padded_is_its_own() -> None:
    """A text whose states are no numbers makes those of no other such."""
    where = layout(LENGTHS["padded"])
    states = torch.arange(sum(LENGTHS["padded"]), dtype=torch.float64)[:, None]
    spread = where.spread(states).view(ROWS, TOKENS)
    for row, length in enumerate(LENGTHS["padded"]):
        first = sum(LENGTHS["padded"][:row])
        wanted = [*range(first, first + length), *[first + length - 1] * (TOKENS - length)]
        assert spread[row].tolist() == wanted


def test_a_batch_without_any_token_is_laid_out() -> None:
    empty = Layout(2, 3, torch.zeros(0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), (0, 0), None)
    assert torch.equal(empty.spread(torch.zeros(0, 4)), torch.zeros(6, 4))


@pytest.mark.parametrize("dropped", [False, True])
def test_feed_forward_derives_as_its_numeric_differences(dropped: bool) -> None:
    keep = (draw(6, 4, seed=92) > 0).double() * 2 if dropped else None
    shapes = [(6, 4), (7, 4), (7,), (4, 7), (4,), (4,), (4,)]
    given = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(lambda *given: FeedForwardBlock.apply(*given, 1e-5, keep), given, fast_mode=True)


def test_dropout_is_the_same_for_the_same_seed_and_step_and_no_other(tmp_path: Path) -> None:
    write_tiny_base(tmp_path / "base")
    model: Any = transformers.AutoModel.from_pretrained(tmp_path / "base")
    noise = Noise()
    quicken(model, reads="tokens", noise=noise)
    model.train()
    batch = {"input_ids": torch.arange(5, 25).view(4, 5), "attention_mask": torch.ones(4, 5, dtype=torch.int64)}

    def states(*, seed: int, step: int) -> Tensor:
        noise.start(seed=seed, step=step)
        out: Tensor = model(**batch).last_hidden_state.detach()
        return out

    once = states(seed=1, step=7)
    assert torch.equal(once, states(seed=1, step=7))
    assert not torch.equal(once, states(seed=1, step=8))
    assert not torch.equal(once, states(seed=2, step=7))

"""Dropout's masks: the share asked for, the mean kept, no pattern, a function of seed and step."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from torch.nn import functional

from hone.models.noise import FEW, Dropout, Noise, draw_again, drawing_state, quick_dropout


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.003])
def test_the_share_dropped_is_the_one_asked_for_and_the_mean_is_kept(drop: float) -> None:
    mask = Noise.mask((1, 2, 3), (1000, 1001), drop=drop)
    spread = (drop * (1 - drop) / mask.numel()) ** 0.5
    assert float((mask == 0).double().mean()) == pytest.approx(drop, abs=5 * spread + 1 / 65536)
    assert float(mask.double().mean()) == pytest.approx(1.0, abs=5 * spread / (1 - drop) + 1e-4)
    assert len(mask.unique()) == 2


def test_neighbors_are_dropped_independently() -> None:
    dropped = (Noise.mask((0, 0, 1), (1 << 20,), drop=0.3) == 0).double()
    for apart in (1, 2, 3, 4, 384):
        both = float((dropped[:-apart] * dropped[apart:]).mean())
        assert both == pytest.approx(0.09, abs=0.002)


def test_masks_follow_seed_step_order_and_part() -> None:
    noise = Noise()

    def drawn(*, seed: int, step: int, part: int = 0) -> list[torch.Tensor]:
        noise.start(seed=seed, step=step)
        return [Noise.mask(noise.ticket(), (40, 7), drop=0.5, part=part) for _ in range(2)]

    one = drawn(seed=3, step=5)
    again = drawn(seed=3, step=5)
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    others = [one[1], drawn(seed=3, step=6)[0], drawn(seed=4, step=5)[0], drawn(seed=3, step=5, part=1)[0]]
    assert not any(torch.equal(one[0], other) for other in others)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_mask_drawn_where_states_are_is_a_function_of_its_ticket_too(kind: torch.dtype) -> None:
    states, drop = torch.ones(400, 1001, dtype=kind, requires_grad=True), 0.1
    before = torch.get_rng_state()
    mask = Noise.mask_like(states, ticket=(1, 2, 3), drop=drop)
    assert torch.equal(mask, Noise.mask_like(states, ticket=(1, 2, 3), drop=drop))
    assert not torch.equal(mask, Noise.mask_like(states, ticket=(1, 2, 4), drop=drop))
    assert torch.equal(torch.get_rng_state(), before)
    assert (mask.dtype, mask.requires_grad) == (kind, False)
    spread = (drop * (1 - drop) / mask.numel()) ** 0.5
    assert float((mask == 0).double().mean()) == pytest.approx(drop, abs=5 * spread)
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / (1 - drop)], rel=0.004)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_dropout_runs_on_a_gpu() -> None:
    noise = Noise()
    dropout, ones = Dropout(0.25, noise), torch.ones(50, 50, device="cuda")

    def drawn() -> torch.Tensor:
        noise.start(seed=1, step=2)
        out: torch.Tensor = dropout(ones)
        return out

    assert drawn().unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(drawn(), drawn())


def test_dropout_does_nothing_in_evaluation_and_scales_in_training() -> None:
    dropout, ones = Dropout(0.25, Noise()), torch.ones(50, 50)
    assert dropout(ones).unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(dropout.eval()(ones), ones)


@pytest.mark.parametrize("drop", [0.1, 0.3])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropout_within_the_quick_one_drops_the_share_and_keeps_the_mean(drop: float, kind: torch.dtype) -> None:
    states = torch.ones(300, 700, dtype=kind, requires_grad=True)
    with quick_dropout():
        kept = functional.dropout(states, drop)
    kept.float().sum().backward()
    spread = (drop * (1 - drop) / states.numel()) ** 0.5
    assert float((kept == 0).double().mean()) == pytest.approx(drop, abs=5 * spread)
    assert kept.dtype == kind
    assert states.grad is not None
    torch.testing.assert_close(states.grad, kept.detach())


def test_it_follows_torchs_own_generator() -> None:
    states = torch.ones(100, 100)
    torch.manual_seed(3)
    with quick_dropout():
        before = drawing_state()
        one, other = (torch.nn.Dropout(0.5)(states) for _ in range(2))
        draw_again(before)
        again = torch.nn.Dropout(0.5)(states)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_what_is_no_dropout_of_many_states_in_training_is_left_to_torch() -> None:
    states, few = torch.ones(100, 100), torch.ones(FEW - 1)
    layer = torch.nn.Dropout(0.5).eval()
    with quick_dropout():
        assert torch.equal(layer(states), states)
        assert torch.equal(functional.dropout(states, 0.0), states)
        assert not functional.dropout(states, 1.0).any()
        assert not functional.dropout(states, 1 - 1e-9).any()
        torch.manual_seed(3)
        found = functional.dropout(few, 0.5)
        inside = states.clone()
        functional.dropout(inside, 0.5, inplace=True)
    torch.manual_seed(3)
    assert torch.equal(found, functional.dropout(few, 0.5))
    assert bool((inside == 0).any())


def test_outside_of_it_dropout_is_torchs() -> None:
    torchs = functional.dropout
    with suppress(KeyError), quick_dropout():
        assert functional.dropout is not torchs
        raise KeyError
    assert functional.dropout is torchs


def test_layers_that_are_computed_again_on_the_way_back_have_the_same_masks() -> None:
    def loss(states: torch.Tensor) -> torch.Tensor:
        return (functional.dropout(states, 0.5) * torch.arange(10_000.0)).sum()

    found = []
    for again in (False, True):
        states = torch.ones(10_000, requires_grad=True)
        torch.manual_seed(4)
        with quick_dropout():
            made = torch.utils.checkpoint.checkpoint(loss, states, use_reentrant=False) if again else loss(states)
            made.backward()
        assert states.grad is not None
        found.append((made.detach(), states.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])

"""Dropout's masks: the share asked for, the mean kept, no pattern, a function of seed and step."""

from __future__ import annotations

import pytest
import torch

from hone.models.noise import Dropout, Noise


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

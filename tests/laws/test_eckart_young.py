"""Factors are the best of their rank: against torch's singular values, and against any other in the inputs' norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hone.compress.low_rank import Outputs, factored_layer, nearest, nearest_rows, rank_of


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def skewed(rows: int, width: int, *, seed: int) -> Tensor:
    """Inputs whose directions count differently, with a mean."""
    return draw(rows, width, seed=seed) * torch.linspace(0.05, 3.0, width) @ draw(width, width, seed=seed + 1) + 1.5


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (30, 30)])
def test_without_inputs_the_error_is_that_of_the_singular_values_left_out(shape: tuple[int, int]) -> None:
    weight = draw(*shape, seed=1)
    found = nearest(weight, None, share=0.6, of="weights")
    assert found is not None
    rank = len(found.first)
    left = torch.linalg.svd(weight).S[rank:]
    error = torch.linalg.norm(weight - found.second @ found.first)
    torch.testing.assert_close(error, left.norm(), rtol=1e-4, atol=1e-5)
    assert rank == rank_of(torch.ones(1), shape, share=0.6, of="weights")
    assert rank * sum(shape) <= 0.6 * shape[0] * shape[1]


def test_with_inputs_the_outputs_error_is_the_least_that_the_rank_allows() -> None:
    layer, inputs = nn.Linear(24, 40), skewed(500, 24, seed=2)
    gave = layer(inputs).detach().double()
    bare = gave - layer.bias.detach().double()
    centered = bare - bare.mean(0)
    seen = Outputs(bare.mean(0), centered.t() @ centered / len(bare))
    factored = factored_layer(layer, seen, share=0.5, of="weights")
    rank = factored.first.out_features  # type: ignore[union-attr]
    error = torch.linalg.norm(factored(inputs).detach().double() - gave)
    least = torch.linalg.svd(centered).S[rank:].norm()
    torch.testing.assert_close(error, least, rtol=1e-3, atol=1e-4)
    plain = factored_layer(layer, None, share=0.5, of="weights")
    assert torch.linalg.norm(plain(inputs).detach().double() - gave) > 1.05 * error


def test_the_table_is_nearest_where_its_tokens_occur() -> None:
    table, counts = draw(60, 20, seed=4), torch.arange(1.0, 61.0).double() ** 2
    found = nearest_rows(table, counts, share=0.5, of="weights")
    assert found is not None
    weighed = table.double() * counts.sqrt()[:, None]
    error = torch.linalg.norm((table - found.second @ found.first).double() * counts.sqrt()[:, None])
    torch.testing.assert_close(error, torch.linalg.svd(weighed).S[len(found.first) :].norm(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_the_energy_that_is_asked_for_is_kept_by_the_least_rank_that_keeps_it(share: float) -> None:
    weight = draw(64, 48, seed=5) * torch.logspace(0, -2, 48)
    squares = torch.linalg.svd(weight).S.double() ** 2
    found = nearest(weight, None, share=share, of="energy")
    assert found is not None
    rank = len(found.first)
    assert squares[:rank].sum() >= share * squares.sum() * (1 - 1e-6)
    assert squares[: rank - 1].sum() < share * squares.sum()


def test_what_factors_would_not_make_smaller_stays_whole() -> None:
    layer = nn.Linear(30, 30)
    assert factored_layer(layer, None, share=0.999, of="energy") is layer

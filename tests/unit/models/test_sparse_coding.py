"""Matrices of mostly zeros: what is written is what is read, and takes what the room says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hone.models.sparse import WORTH, coded, compact, decoded, expanded, zero_share


def thin(rows: int, columns: int, *, zeros: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator)
    return matrix * (torch.rand(rows, columns, generator=generator) >= zeros)


def size(parts: dict[str, Tensor]) -> int:
    return sum(part.nbytes for part in parts.values())


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
@pytest.mark.parametrize("shape", [(17, 23), (1, 1), (3, 4000)])
def test_the_round_trip_is_exact(shape: tuple[int, int], dtype: torch.dtype, zeros: float) -> None:
    matrix = (thin(*shape, zeros=zeros) * 20).to(dtype)
    again = decoded(coded(matrix))
    assert again.dtype == dtype
    assert torch.equal(again, matrix)


def test_values_that_stand_far_apart_are_found_again() -> None:
    matrix = torch.zeros(1000, 1000)
    matrix[0, 0] = matrix[999, 999] = matrix[500, 1] = 2.5
    assert torch.equal(decoded(coded(matrix)), matrix)


@pytest.mark.parametrize(("zeros", "share"), [(0.5, 0.532), (0.75, 0.276), (0.9, 0.1155), (0.95, 0.0595)])
def test_it_takes_what_the_room_says(zeros: float, share: float) -> None:
    matrix = thin(400, 400, zeros=zeros)
    assert size(coded(matrix)) / matrix.nbytes == pytest.approx(share, rel=0.03)


def test_only_what_is_mostly_zeros_is_written_so() -> None:
    state = {"a": thin(50, 50, zeros=0.8), "b": thin(50, 50, zeros=WORTH / 2), "c": torch.zeros(50, 50)}
    written = compact(state, ["a", "b"])
    assert set(written) == {"a.values", "a.shape", "a.low", "a.high", "b", "c"}
    again = expanded(written)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert zero_share(state["c"]) == 1.0


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("values", torch.ones(3), "3 values of a sparse matrix"),
        ("shape", torch.tensor([2, 2, 1]), "lies outside"),
    ],
)
def test_parts_that_do_not_fit_are_told(part: str, value: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decoded({**coded(thin(20, 20, zeros=0.7)), part: value})

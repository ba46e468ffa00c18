from __future__ import annotations

import pytest
import torch

from hone.predict.generation.greatest import COLUMNS, greatest


@pytest.mark.parametrize("size", [30, 10 * COLUMNS, 10 * COLUMNS + 7])
def test_the_greatest_are_those_of_topk(size: int) -> None:
    scores = torch.randn((3, size), generator=torch.Generator().manual_seed(1))
    scores[1, 20:] = float("-inf")  # all but few may not be written
    best, places = greatest(scores, 8)
    expected = scores.topk(8, dim=-1)
    assert torch.equal(best, expected.values)
    assert torch.equal(places, expected.indices)


def test_scores_that_fill_no_column_are_looked_at() -> None:
    scores = torch.zeros((1, 10 * COLUMNS + 7))
    scores[0, -7:] = torch.arange(7) + 1.0
    assert greatest(scores, 7)[1].tolist() == [[10 * COLUMNS + 6 - i for i in range(7)]]


def test_of_equal_scores_each_is_taken_once() -> None:
    _, places = greatest(torch.zeros((2, 10 * COLUMNS)), 5)
    assert [len(set(row)) for row in places.tolist()] == [5, 5]

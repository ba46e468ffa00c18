"""The global pointer: stretches that can be, turned by how far their ends are apart, the same whatever is around."""

from __future__ import annotations

import pytest
import torch

from hone.models.heads import NEVER
from hone.models.pointer import GlobalPointer, rotated

BATCH = {
    "word_positions": torch.tensor([[1, 2, 3, 4], [1, 2, 0, 0]]),
    "word_mask": torch.tensor([[True] * 4, [True, True, False, False]]),
}


def head(*, efficient: bool) -> GlobalPointer:
    torch.manual_seed(0)
    made = GlobalPointer(("a", "b", "c"), width=6, dropout=0.5, size=4, efficient=efficient).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


@pytest.mark.parametrize("efficient", [True, False])
def test_only_stretches_of_real_tokens_that_end_where_they_begin_or_later_score(efficient: bool) -> None:
    scores = head(efficient=efficient)(torch.randn(2, 6, 6), BATCH)["logits"]
    assert scores.shape == (2, 4, 4, 3)
    for row, count in enumerate((4, 2)):
        for first in range(4):
            for last in range(4):
                can_be = first <= last < count
                assert bool((scores[row, first, last] != NEVER).all()) == can_be
                assert bool((scores[row, first, last] == NEVER).all()) != can_be


@pytest.mark.parametrize("efficient", [True, False])
def test_scores_are_those_of_the_paper(efficient: bool) -> None:
    made, states = head(efficient=efficient), torch.randn(2, 6, 6)
    scores = made(states, BATCH)["logits"]
    both = made.linear(states[0, 1:5])  # [4, labels or 1 * 2 * size]
    first, last = 1, 3
    for label in range(3):
        part = both if efficient else both[:, 8 * label : 8 * label + 8]
        query, key = part[first, :4], part[last, 4:]
        turned = [rotated(each.repeat(4, 1)[None, :, None])[0, at, 0] for each, at in ((query, first), (key, last))]
        expected = turned[0] @ turned[1] / 2
        if made.ends is not None:
            ends = made.ends(both) / 2
            expected = expected + ends[first, label] + ends[last, 3 + label]
        assert float(scores[0, first, last, label].detach()) == pytest.approx(float(expected.detach()), abs=1e-5)


def test_products_of_rotated_states_depend_on_their_distance_alone() -> None:
    one, other = torch.randn(8).repeat(6, 1), torch.randn(8).repeat(6, 1)
    products = rotated(one[None, :, None])[0, :, 0] @ rotated(other[None, :, None])[0, :, 0].T
    assert float(products[0, 0]) == pytest.approx(float(one[0] @ other[0]), abs=1e-5)
    for apart in range(-5, 6):
        diagonal = products.diagonal(apart)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-5)

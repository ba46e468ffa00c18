"""Attention of one token of many rows to few places is computed otherwise, and comes to the same."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hone.models.writers.quick import MANY, SMALL, _attend

SIZE = 32


@pytest.mark.parametrize("groups", [MANY - 1, MANY])
@pytest.mark.parametrize("places", [1, SMALL // SIZE, SMALL // SIZE + 1])
@pytest.mark.parametrize("padded", [False, True])
def test_it_is_that_of_torch(groups: int, places: int, padded: bool) -> None:
    torch.manual_seed(places)
    q, keys, values = (torch.randn(groups, count, SIZE) for count in (1, places, places))
    bias = torch.zeros(groups, 1, places)
    bias[1::2, :, 1:] = float("-inf")
    kept = bias.clone()
    found = _attend(q, keys, values, bias if padded else None)
    expected = functional.scaled_dot_product_attention(q, keys, values, attn_mask=bias if padded else None, scale=1.0)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(bias, kept)

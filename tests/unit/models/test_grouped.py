"""Weights of few bits with a scale a group: rounding within half a step, packing exact, joining side by side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hone.models.grouped import HIGHEST, Bits, GroupedLinear, packed, unpacked


def layer(inputs: int = 64, outputs: int = 24, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias)


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_are_within_half_a_step_of_their_group(bits: Bits) -> None:
    plain = layer()
    with torch.no_grad():
        plain.weight.mul_(torch.logspace(-3, 3, 64))
    small = GroupedLinear.of(plain, bits=bits, group=16)
    assert small.scale.shape == (24, 4)
    step = small.scale.repeat_interleave(16, dim=1)
    assert bool(((small.dense() - plain.weight).abs() <= 0.5001 * step).all())
    torch.testing.assert_close(step[:, ::16] * HIGHEST[bits], plain.weight.unflatten(1, (4, 16)).abs().amax(2))


@pytest.mark.parametrize("bits", [8, 4])
def test_the_product_is_that_of_the_weights_brought_back(bits: Bits) -> None:
    small = GroupedLinear.of(layer(), bits=bits, group=32)
    x = torch.randn(2, 3, 64)
    torch.testing.assert_close(small(x), x @ small.dense().t() + small.bias)
    wanted = layer()(x).detach()
    error = (small(x) - wanted).norm() / wanted.norm()
    assert float(error) < {8: 0.01, 4: 0.12}[bits]


def test_four_bits_are_two_a_byte_and_come_back() -> None:
    whole = torch.randint(-7, 8, (5, 12), dtype=torch.int8)
    assert packed(whole).shape == (5, 6)
    assert packed(whole).dtype == torch.uint8
    assert torch.equal(unpacked(packed(whole)), whole)


def test_groups_that_do_not_divide_and_odd_inputs() -> None:
    assert GroupedLinear.of(layer(20), bits=4, group=32).scale.shape == (24, 1)
    odd = GroupedLinear.of(layer(21), bits=4, group=32)
    assert odd.weight.dtype == torch.int8
    assert (odd.in_features, odd.out_features) == (21, 24)
    assert GroupedLinear.of(layer(20), bits=4, group=2).in_features == 20


def test_several_over_one_input_are_one() -> None:
    parts = [GroupedLinear.of(layer(64, size, bias=size == 8), bits=4, group=32) for size in (8, 16)]
    x = torch.randn(3, 64)
    torch.testing.assert_close(GroupedLinear.joined(parts)(x), torch.cat([part(x) for part in parts], dim=1))
    assert not parts[1].bias.any()

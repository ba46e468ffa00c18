"""Int8 layers: the kernel does exact integer arithmetic, rounding stays within half a step, joining is side by side."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from hone.models import int8
from hone.models.int8 import Int8Embedding, Int8Linear, is_int8, rounded, steps, to_int8, whole


@pytest.fixture(params=["in-one", "in-two", "in-two-slowly"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How inputs are rounded and multiplied, whatever this processor does by itself."""
    how: str = request.param
    monkeypatch.setattr(int8, "_adds_eights", lambda: how != "in-one")
    if how == "in-two-slowly":
        monkeypatch.setattr(int8, "_rounds_at_once", lambda: False)
    return how


def layer(inputs: int = 40, outputs: int = 24) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs)


def test_weights_are_rounded_within_half_a_step_of_their_row() -> None:
    weight = layer().weight.detach() * torch.logspace(-3, 3, 24)[:, None]
    whole, scale = rounded(weight, highest=63)
    assert whole.dtype == torch.int8
    assert bool(((whole * scale[:, None] - weight).abs() <= 0.5001 * scale[:, None]).all())
    assert bool((whole.abs().amax(1) == 63).all())


def test_a_row_of_zeros_stays_zeros() -> None:
    whole, scale = rounded(torch.zeros(2, 3), highest=63)
    assert not whole.any()
    assert bool((scale > 0).all())


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("rows", [1, 13, 200])
def test_the_product_is_exact_in_integers(rows: int, size: float, kernel: str) -> None:
    """No sum of products overflows, whatever the weights: all the error is that of rounding."""
    plain = layer()
    made = Int8Linear.of(plain)
    x = size * torch.randn(rows, 40, generator=torch.Generator().manual_seed(1))
    in_one = kernel == "in-one"
    step, zero = torch._choose_qparams_per_tensor(x, reduce_range=False) if in_one else steps(*torch.aminmax(x))
    rounded_x = (x / step + zero).round().clamp(0, 255) - zero
    exact = (rounded_x.double() @ made.weight.double().t()) * step * made.scale.double() + made.bias.double()
    if kernel == "in-two-slowly":  # halves may be rounded either way
        assert float((made(x).double() - exact).norm() / exact.norm()) < 2e-3
    else:
        torch.testing.assert_close(made(x).double(), exact, rtol=1e-5, atol=1e-5 * size)
    wanted = plain(x).detach()
    assert float((wanted - made(x)).norm() / wanted.norm()) < 0.03


@pytest.mark.usefixtures("kernel")
def test_extreme_inputs_and_weights_do_not_overflow() -> None:
    plain = nn.Linear(64, 8, bias=False)
    nn.init.ones_(plain.weight)
    x = torch.ones(4, 64)
    torch.testing.assert_close(Int8Linear.of(plain)(x), plain(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(Int8Linear.of(plain)(-x), plain(-x), rtol=1e-5, atol=1e-5)
    assert not Int8Linear.of(plain)(0 * x).any()


@pytest.mark.usefixtures("kernel")
def test_leading_dimensions_are_kept() -> None:
    made = Int8Linear.of(layer())
    x = torch.randn(2, 3, 40)
    assert made(x).shape == (2, 3, 24)
    torch.testing.assert_close(made(x).flatten(0, 1), made(x.flatten(0, 1)))


@pytest.mark.usefixtures("kernel")
def test_joined_layers_give_their_outputs_side_by_side() -> None:
    one, other = Int8Linear.of(layer()), Int8Linear.of(layer(40, 7))
    x = torch.randn(5, 40)
    torch.testing.assert_close(Int8Linear.joined([one, other])(x), torch.cat([one(x), other(x)], dim=1))


def test_a_table_gives_its_rows_back() -> None:
    table = nn.Embedding(10, 6)
    ids = torch.tensor([[1, 9], [1, 0]])
    found = Int8Embedding.of(table)(ids)
    assert found.shape == (2, 2, 6)
    assert bool(((found - table(ids)).abs() <= table.weight.abs().amax() / 250).all())


@pytest.mark.usefixtures("kernel")
def test_every_layer_of_a_module_is_replaced_and_what_is_loaded_is_what_answers() -> None:
    torch.manual_seed(1)
    first = nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 8), nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 2)))
    second = nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 8), nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 2)))
    assert not is_int8(first)
    to_int8(first)
    to_int8(second)
    assert is_int8(first)
    ids = torch.tensor([[3, 4]])
    assert not torch.equal(first(ids), second(ids))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(ids), second(ids))


@pytest.mark.usefixtures("kernel")
def test_a_reach_that_is_known_stands_for_that_of_each_call() -> None:
    plain = layer()
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(1))
    reach = torch.stack(torch.aminmax(x))
    fixed = Int8Linear.of(plain, reach=reach)
    scale, zero = steps(*reach)
    whole_x = (x / scale + zero).round().clamp(0, 255) - zero
    exact = (whole_x.double() @ fixed.weight.double().t()) * scale * fixed.scale.double() + fixed.bias.double()
    wanted = plain(x).detach()
    assert float((fixed(x).double() - exact).norm() / exact.norm()) < 1e-3  # halves may be rounded either way
    assert float((fixed(x) - wanted).norm() / wanted.norm()) < 0.03
    torch.testing.assert_close(fixed(x[:1]), fixed(x)[:1])  # alone or among others
    assert not torch.equal(Int8Linear.of(plain)(x[:1]), Int8Linear.of(plain)(x)[:1])


@pytest.mark.usefixtures("kernel")
def test_what_lies_outside_of_the_reach_is_cut_off_and_zero_is_exact() -> None:
    fixed = Int8Linear.of(nn.Linear(4, 2), reach=torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(fixed(torch.full((1, 4), 9.0)), fixed(torch.full((1, 4), 2.0)))
    torch.testing.assert_close(fixed(torch.full((1, 4), -9.0)), fixed(torch.zeros(1, 4)))
    torch.testing.assert_close(fixed(torch.zeros(1, 4))[0], fixed.bias)


@pytest.mark.usefixtures("kernel")
def test_layers_of_one_reach_are_joined_with_it() -> None:
    reach = torch.tensor([-3.0, 3.0])
    parts = [Int8Linear.of(layer(40, size), reach=reach) for size in (8, 16)]
    x = torch.randn(3, 40)
    torch.testing.assert_close(Int8Linear.joined(parts)(x), torch.cat([part(x) for part in parts], dim=1))


@pytest.mark.parametrize("reach", [None, torch.tensor([-2.0, 3.0])], ids=["of-each-call", "known"])
def test_without_the_fused_operators_the_same_comes_out(
    reach: torch.Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(int8, "_adds_eights", lambda: False)
    fused = Int8Linear.of(layer(), reach=reach)(x)
    monkeypatch.setattr(int8, "_has_fused", lambda: False)
    in_two = Int8Linear.of(layer(), reach=reach)(x)
    assert float((fused - in_two).norm() / fused.norm()) < 2e-3  # halves may be rounded either way


def test_a_layer_that_is_to_expect_few_rows_takes_the_operator_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "_adds_eights", lambda: True)
    x = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
    made = Int8Linear.of(layer(), reach=torch.tensor([-2.0, 3.0]))
    before = made(x)
    made.expect_few()
    assert made._fuses
    assert float((made(x) - before).norm() / before.norm()) < 2e-3


@pytest.mark.parametrize("reach", [None, torch.tensor([-0.2, 2.0])], ids=["of-each-call", "known"])
@pytest.mark.parametrize("rows", [1, 16, 17, 300])
@pytest.mark.usefixtures("kernel")
def test_gelu_between_two_layers_is_that_of_torch(rows: int, reach: torch.Tensor | None) -> None:
    x = torch.randn(2, rows, 40, generator=torch.Generator().manual_seed(1))
    inner = Int8Linear.of(layer(), reach=torch.tensor([-3.0, 3.0]))
    outer = Int8Linear.of(layer(24, 40), reach=reach)
    apart = outer(torch.nn.functional.gelu(inner(x)))
    made = outer.after_gelu(inner, x)
    assert made.shape == (2, rows, 40)
    assert float((made - apart).norm() / apart.norm()) < 5e-3


@pytest.mark.parametrize("at_once", [True, False])
def test_values_are_rounded_to_the_nearest_whole_number_and_what_is_beyond_the_last_row_is_room(
    at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not at_once:
        monkeypatch.setattr(int8, "_rounds_at_once", lambda: False)
    values = torch.tensor([[-9.0, -0.26, 0.0], [0.24, 1.3, 199.0]])
    for rows in (2, 16):
        found = whole(values, 0.5, 10, rows=rows)
        assert found.shape == (rows, 3)
        assert found[:2].tolist() == [[0, 9, 10], [10, 13, 255]]
    assert values[0, 0] == -9.0


def test_numbers_of_rows_that_are_multiplied_are_few() -> None:
    many = [int8._multiple(rows) for rows in range(1, 20_000)]
    assert all(rows <= found < 1.13 * rows + 16 for rows, found in enumerate(many, start=1))
    assert len(set(many[:1024])) < 60
    assert many[:16] == list(range(1, 17))


@pytest.mark.usefixtures("kernel")
def test_a_layer_that_has_answered_can_be_copied() -> None:
    made = Int8Linear.of(layer(), reach=torch.tensor([-2.0, 3.0]))
    x = torch.randn(20, 40)
    before = made(x)
    torch.testing.assert_close(copy.deepcopy(made)(x), before, rtol=0, atol=0)
    torch.testing.assert_close(made(x), before, rtol=0, atol=0)

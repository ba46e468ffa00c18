"""Learning-rate schedules: known values, and the same curve as transformers after warmup."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import (
    get_cosine_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
)

from hone.train.schedule import Shape, rate_factor

SHAPES: list[Shape] = ["linear", "cosine", "constant", "inverse_sqrt"]


def curve(shape: Shape, *, total: int = 20, warmup: int = 0) -> list[float]:
    return [rate_factor(step, total=total, warmup=warmup, shape=shape) for step in range(total)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)]),
        ("constant", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_curves_without_warmup_have_their_analytic_values(shape: Shape, expected: list[float]) -> None:
    assert curve(shape, total=4) == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_warmup_rises_in_equal_steps_and_the_peak_comes_right_after(shape: Shape) -> None:
    assert curve(shape, total=10, warmup=3)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("shape", SHAPES)
def test_no_step_is_wasted_at_rate_zero(shape: Shape) -> None:
    for warmup in (0, 1, 5):
        assert min(curve(shape, total=12, warmup=warmup)) > 0.0


@pytest.mark.parametrize("warmup", [0, 1, 6])
@pytest.mark.parametrize(
    ("shape", "theirs"),
    [
        ("linear", get_linear_schedule_with_warmup),
        ("cosine", get_cosine_schedule_with_warmup),
        ("inverse_sqrt", lambda optimizer, warmup, total: get_inverse_sqrt_schedule(optimizer, warmup)),
    ],
)
def test_curves_equal_those_of_transformers_from_the_peak_on(shape: Shape, theirs: object, warmup: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    factor = theirs(optimizer, warmup, 20).lr_lambdas[0]  # type: ignore[operator]
    assert curve(shape, warmup=warmup)[warmup:] == pytest.approx([factor(step) for step in range(warmup, 20)])


def test_warmup_equals_that_of_transformers_one_step_on() -> None:
    """transformers wastes its first step at rate zero; here the first step has a rate already."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    factor = get_linear_schedule_with_warmup(optimizer, 7, 20).lr_lambdas[0]
    assert curve("linear", warmup=6)[:6] == pytest.approx([factor(step + 1) for step in range(6)])


def test_a_run_of_warmup_alone_still_has_its_rates() -> None:
    assert curve("cosine", total=2, warmup=2) == pytest.approx([1 / 3, 2 / 3])

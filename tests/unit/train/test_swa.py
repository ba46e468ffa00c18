"""`swa`: what remains is the plain mean of its snapshots, the rows of the table too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from training_bench import Bench, same, scripted, state_of


def run(
    bench: Bench, folder: str, steps: int = 18, **settings: Any
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """How a training ended, and the states that validation saw after each step."""
    model, seen = bench.model(), list[dict[str, Tensor]]()
    validate = scripted([0.5] * steps, seen=seen)
    options = {"eval_strategy": "steps", "eval_steps": 1, "keep": "last", "learning_rate": 1e-2, "folder": folder}
    bench.run(bench.loop(model=model, validate=validate, max_steps=steps, **{**options, **settings}))
    return state_of(model), seen


@pytest.mark.parametrize(
    ("settings", "steps", "taken"),
    [
        ({"start": 0.0, "every_steps": 4}, 10, [4, 8, 10]),
        ({"start": 0.5, "every_steps": 4}, 10, [8, 10]),
        ({"start": 0.3}, 20, [9, 18, 20]),  # nine steps are an epoch
    ],
)
def test_it_is_the_mean_of_the_snapshots(bench: Bench, settings: dict[str, Any], steps: int, taken: list[int]) -> None:
    _, states = run(bench, "plain", steps)
    ended, seen = run(bench, "averaged", steps, techniques=[{"name": "swa", **settings}])
    for name, value in ended.items():
        expected = torch.stack([states[step - 1][name] for step in taken]).mean(0)
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
    assert same(seen[taken[0] - 2], states[taken[0] - 2]), "before the first snapshot the weights are what they are"
    assert same(seen[-1], ended), "validation measures what would remain"


def test_averaging_does_not_disturb_the_training(bench: Bench) -> None:
    _, plain = run(bench, "plain", 6)
    _, averaged = run(bench, "averaged", 6, techniques=[{"name": "swa", "start": 0.99, "every_steps": 1}])
    assert same(plain[-1], averaged[-1]), "one snapshot is its own mean"

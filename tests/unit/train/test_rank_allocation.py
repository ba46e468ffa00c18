"""Ranks of adalora: taken away down to their target, the same after a kill, and held to orthogonality."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training_bench import Bench, recorded_gradients, same, state_of

from hone.core.errors import RecipeError
from hone.models.adapters.adalora import AdaLoraLinear, AdaLoraSettings
from hone.models.adapters.linear import tuned_modules
from hone.models.model import Model
from hone.train.finetune import tune
from hone.train.loop import Loop
from hone.train.rank_allocation import RankAllocation
from hone.train.settings import FinetuneSettings

pytest.importorskip("peft")
METHOD = {"name": "adalora", "init_r": 4, "target_r": 2, "tinit": 2, "tfinal": 4, "deltaT": 2}


def loop_of(bench: Bench, folder: str, **settings: Any) -> Loop:
    model = bench.model()
    tune(model, FinetuneSettings.model_validate({"method": METHOD}))
    plain = {"max_steps": 14, "learning_rate": 1e-2, "keep": "last"}
    return bench.loop(model=model, folder=folder, **{**plain, **settings})


def ranks(model: Model) -> list[int]:
    layers = tuned_modules(model.backbone).values()
    return [int(layer.left().sum()) for layer in layers if isinstance(layer, AdaLoraLinear)]


def test_ranks_fall_to_their_target_and_a_killed_run_takes_the_same_away(bench: Bench) -> None:
    whole = loop_of(bench, "whole")
    bench.run(whole)
    assert sum(ranks(whole.model)) == 8
    first, done = loop_of(bench, "killed", save_steps=8), 0

    def dies(*given: Any) -> Any:
        nonlocal done
        done += 1
        if done == 11:
            raise KeyboardInterrupt
        return Loop._step(first, *given)

    first._step = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.run(first)
    again = loop_of(bench, "killed", save_steps=8)
    assert bench.run(again).resumed_at == 8
    assert same(state_of(again.model), state_of(whole.model))


@pytest.mark.parametrize("patience", [None, 1])
def test_only_weights_whose_ranks_are_down_are_kept_or_end_it_early(bench: Bench, patience: int | None) -> None:
    def worse(model: Model) -> dict[str, float | None]:
        measured.append(sum(ranks(model)))
        return {"accuracy": 1 - len(measured) / 100}

    measured: list[int] = []
    stopping = {"eval_strategy": "steps", "eval_steps": 2, "early_stopping_patience": patience}
    loop = loop_of(bench, "best", validate=worse, keep="best", **stopping)
    trained = bench.run(loop)
    assert measured[0] > 8
    assert trained.position.best_step == 10
    assert sum(ranks(loop.model)) == 8
    assert trained.position.step == (14 if patience is None else 12)


def test_the_loss_has_the_distance_of_the_outer_matrices_from_orthogonal(bench: Bench) -> None:
    loop = loop_of(bench, "run")
    technique = RankAllocation(AdaLoraSettings(init_r=4, target_r=2, orth_reg_weight=2.0), loop_course(loop))
    apart = [
        torch.linalg.matrix_norm(product - torch.eye(4))
        for layer in tuned_modules(loop.model.backbone).values()
        if isinstance(layer, AdaLoraLinear)
        for product in (layer.lora_A @ layer.lora_A.T, layer.lora_B.T @ layer.lora_B)
    ]
    torch.testing.assert_close(technique.penalty(), 2.0 * torch.stack(apart).mean())


@pytest.mark.parametrize("together", [True, False])
def test_the_distance_is_learned_from_beside_batches_that_are_one_to_the_task(bench: Bench, together: bool) -> None:
    """Of two trainings that differ in its weight alone, the gradients of the first step differ by its gradient."""
    steps = []
    for weight in (0.0, 0.5):
        model = bench.model()
        tune(model, FinetuneSettings.model_validate({"method": {**METHOD, "orth_reg_weight": weight}}))
        loop = bench.loop(model=model, max_steps=14, gradient_accumulation_steps=2, max_grad_norm=None, logging_steps=1)
        if together:  # as of a task that compares rows
            loop._one_by_one = loop._united  # type: ignore[method-assign]
        penalty = loop.techniques.penalty()
        assert penalty is not None
        expected = torch.autograd.grad(penalty, [p for p in loop.learned if p.ndim == 2], allow_unused=True)
        with recorded_gradients() as gradients:
            bench.run(loop)
        steps.append(gradients[0])
        apart = torch.cat([g.flatten() for g in expected if g is not None]).norm()
    difference = steps[1] - steps[0]
    torch.testing.assert_close(difference.norm(), apart, rtol=1e-3, atol=1e-5)


def test_a_schedule_longer_than_the_training_is_told(bench: Bench) -> None:
    course = loop_course(loop_of(bench, "run"))
    with pytest.raises(RecipeError, match=f"tinit 5 and tfinal {course.steps}"):
        RankAllocation(AdaLoraSettings(tinit=5, tfinal=course.steps), course)


def loop_course(loop: Loop) -> Any:
    from hone.train.technique import Course

    return Course(loop.model, loop.task, 1, loop.total, loop.steps_per_epoch, loop._settled)

"""Techniques: named in the recipe, acting at their moments, kept by checkpoints; `ema` against its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from training_bench import Bench, same, scripted, state_of

from hone.core.settings import check_settings
from hone.models.model import Model
from hone.tasks.protocol import Loss
from hone.tasks.rows import Batch
from hone.train.ema import EVERY, Ema
from hone.train.settings import FinetuneSettings
from hone.train.technique import Pass, Technique
from hone.train.techniques import EmaSettings

EMA = [{"name": "ema", "decay": 0.9}]


def table_of(model: Model) -> Tensor:
    backbone: Any = model.backbone
    return backbone.get_input_embeddings().weight


def test_the_decided_recipe_holds_every_setting() -> None:
    assert FinetuneSettings(techniques=["ema"]).techniques == [{"name": "ema", "decay": 0.99}]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["emma"], "Did you mean 'ema'"),
        ([{"name": "ema", "decy": 0.9}], "decay"),
        ([{"name": "ema", "decay": 1.0}], "less than 1"),
        ([{"decay": 0.9}], "the name of a technique"),
        ("ema", "a list of techniques"),
    ],
)
def test_what_cannot_be_used_is_told(value: Any, told: str) -> None:
    _, faults = check_settings(FinetuneSettings, {"techniques": value})
    (fault,) = faults
    assert told in str(fault)
    assert fault.field.startswith("techniques")


def test_every_technique_does_nothing_unless_it_says_so(bench: Bench) -> None:
    plain, loss = Technique(), torch.tensor(2.0)
    seen = Pass({}, {}, Loss(loss, 1.0), again=pytest.fail, backward=pytest.fail)
    plain.on_begin(0)
    plain.on_batch({}, 0)
    assert plain.on_loss(loss, seen) is loss
    plain.on_derivatives(seen)
    assert plain.state() == {}
    assert plain.rates() == {}
    with plain.as_it_would_end():
        plain.on_backward()


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_is_that_of_the_definition(bench: Bench, decay: float) -> None:
    model = bench.model()
    ema = Ema(EmaSettings(decay=decay), bench.course(model))
    weight = model.head.linear.weight  # type: ignore[union-attr]
    seen, average = [], torch.zeros(())
    for step in range(1, 41):
        with torch.no_grad():
            weight.normal_()
        ema.on_step(step)
        if step % EVERY == 0:
            seen.append(weight.detach().clone())
            average = average + max(1 - decay**EVERY, 1 / len(seen)) * (seen[-1] - average)
    ema.on_end()
    torch.testing.assert_close(weight.detach(), average, rtol=1e-5, atol=1e-6)


def test_weights_that_do_not_learn_and_the_token_table_are_left_alone(bench: Bench) -> None:
    model = bench.model()
    model.freeze(1)
    ema = Ema(EmaSettings(), bench.course(model))
    names = set(ema._weights)
    assert not any("layer.0." in name or "word_embeddings" in name for name in names)
    assert any("layer.1." in name for name in names)


def test_validation_measures_the_average_and_training_goes_on_from_the_weights(bench: Bench) -> None:
    ends: dict[bool, dict[str, Tensor]] = {}
    shown: dict[bool, list[dict[str, Tensor]]] = {True: [], False: []}
    for averaged in (False, True):
        model = bench.model()
        validate = scripted([0.5, 0.6], seen=shown[averaged])
        bench.run(
            bench.loop(
                model=model,
                validate=validate,
                max_steps=18,
                learning_rate=1e-2,
                keep="last",
                techniques=EMA if averaged else [],
                folder=f"run-{averaged}",
            )
        )
        ends[averaged] = state_of(model)
        assert torch.equal(table_of(model), ends[averaged]["backbone.embeddings.word_embeddings.weight"])
    name = "backbone.embeddings.word_embeddings.weight"
    assert torch.equal(ends[True][name], ends[False][name]), "the steps were the same"
    assert not torch.equal(ends[True]["head.linear.weight"], ends[False]["head.linear.weight"])
    assert not same(shown[True][0], shown[False][0])
    assert same(shown[True][1], ends[True]), "what was measured last is what remains"


def test_the_best_average_is_what_keep_best_leaves(bench: Bench) -> None:
    seen: list[dict[str, Tensor]] = []
    model = bench.model()
    validate = scripted([0.9, 0.1], seen=seen)
    bench.run(bench.loop(model=model, validate=validate, max_steps=18, learning_rate=1e-2, techniques=EMA))
    assert same(state_of(model), seen[0])


def test_a_killed_run_goes_on_with_its_average(bench: Bench) -> None:
    whole = bench.model()
    bench.run(bench.loop(model=whole, max_steps=15, learning_rate=1e-2, techniques=EMA, folder="whole"))
    options: dict[str, Any] = {"learning_rate": 1e-2, "techniques": EMA, "save_steps": 7, "folder": "killed"}
    first = bench.loop(model=bench.model(), max_steps=15, **options)

    class Killed(Exception):
        pass

    step, done = first._step, 0

    def dies(*given: Any) -> Any:
        nonlocal done
        done += 1
        if done == 10:
            raise Killed
        return step(*given)

    first._step = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        bench.run(first)
    again = bench.model(seed=9)
    assert bench.run(bench.loop(model=again, max_steps=15, **options)).resumed_at == 7
    assert same(state_of(again), state_of(whole))


class Doubled(Technique):
    """Doubles the loss, and counts its moments."""

    def __init__(self) -> None:
        self.moments: list[str] = []

    def on_begin(self, step: int) -> None:
        self.moments.append(f"step after {step}")

    def on_batch(self, batch: Batch, step: int) -> None:
        self.moments.append(f"batch after {step}")

    def on_loss(self, loss: Tensor, seen: Pass) -> Tensor:
        self.moments.append("loss")
        return 2 * loss

    def on_derivatives(self, seen: Pass) -> None:
        self.moments.append("derivatives")

    def on_backward(self) -> None:
        self.moments.append("backward")

    def on_step(self, step: int) -> None:
        self.moments.append(f"step {step}")

    def on_end(self) -> None:
        self.moments.append("end")


def test_the_moments_come_in_order_and_the_loss_is_what_was_made_of_it(bench: Bench) -> None:
    loop, technique = bench.loop(max_steps=2, gradient_accumulation_steps=2, max_grad_norm=None), Doubled()
    loop.techniques._each.append(technique)
    bench.run(loop)
    first, second = (
        [f"step after {done}", *[f"batch after {done}", "loss", "derivatives"] * 2, "backward", f"step {done + 1}"]
        for done in (0, 1)
    )
    assert technique.moments == [*first, *second, "end"]

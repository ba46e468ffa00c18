"""The loop: which state remains, when it stops, what a step's gradient is, and going on where it was interrupted."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from training_bench import Bench, Steps, dataset, log_of, recorded_gradients, same, scripted, state_of

from hone.core.choice import decided
from hone.core.errors import HoneError
from hone.models.model import Model, build_model
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.train.batches import epoch_batches
from hone.train.loop import Loop

# Which state remains


def test_early_stopping_restores_the_best_state_by_the_watched_measure(bench: Bench) -> None:
    seen: list[dict[str, Tensor]] = []
    validate = scripted([0.5, 0.3, 0.4, 0.45, 0.1], seen=seen)
    loop = bench.loop(validate=validate, better="lower", early_stopping_patience=2, num_train_epochs=5.0)
    trained = bench.run(loop)
    assert trained.stopped_early
    assert (trained.position.step, trained.position.best_step, trained.position.best) == (36, 18, 0.3)
    assert len(seen) == 4
    assert same(state_of(loop.model), seen[1])
    assert not same(seen[1], seen[3])


def test_a_run_that_had_stopped_early_is_over_when_taken_up_again(bench: Bench) -> None:
    settings = {"early_stopping_patience": 1, "num_train_epochs": 5.0, "save_steps": 100}
    first = bench.loop(validate=scripted([0.5, 0.4]), **settings)
    bench.run(first)
    again = bench.loop(validate=scripted([]), **settings)
    assert again.resume() == first.position.step == 18
    trained = bench.run(again)
    assert trained.stopped_early
    assert same(state_of(again.model), state_of(first.model))


def test_an_improvement_resets_the_patience(bench: Bench) -> None:
    validate = scripted([0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.6, 0.9])
    trained = bench.run(bench.loop(validate=validate, early_stopping_patience=2, num_train_epochs=8.0))
    assert trained.stopped_early
    assert trained.position.step == 7 * 9
    assert trained.position.best == 0.7


def test_of_equally_good_states_the_earliest_remains(bench: Bench) -> None:
    seen: list[dict[str, Tensor]] = []
    loop = bench.loop(validate=scripted([0.2, 0.9, 0.9], seen=seen), num_train_epochs=3.0)
    assert bench.run(loop).position.best_step == 18
    assert same(state_of(loop.model), seen[1])


def test_keep_last_leaves_the_last_state(bench: Bench) -> None:
    seen: list[dict[str, Tensor]] = []
    loop = bench.loop(validate=scripted([0.9, 0.1], seen=seen), num_train_epochs=2.0, keep="last")
    trained = bench.run(loop)
    assert same(state_of(loop.model), seen[1])
    assert trained.position.best == 0.9


def test_without_validation_the_last_state_remains(bench: Bench) -> None:
    one, other = bench.loop(num_train_epochs=1.0), bench.loop(num_train_epochs=1.0, keep="last")
    trained = bench.run(one)
    bench.run(other)
    assert same(state_of(one.model), state_of(other.model))
    assert trained.position.best is None
    assert trained.position.history == []


def test_an_undefined_measure_is_recorded_and_neither_best_nor_stale(bench: Bench) -> None:
    validate = scripted([None, 0.5, None, 0.4])
    trained = bench.run(bench.loop(validate=validate, early_stopping_patience=2, num_train_epochs=4.0))
    assert [record["accuracy"] for record in trained.position.history] == [None, 0.5, None, 0.4]
    assert (trained.position.best, trained.position.best_step, trained.position.stale) == (0.5, 18, 1)
    assert not trained.stopped_early


# How long it trains and when it measures


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"num_train_epochs": 2.0}, 18),
        ({"num_train_epochs": 0.5}, 5),
        ({"num_train_epochs": 2.0, "max_steps": 4}, 4),
        ({"num_train_epochs": 1.0, "max_steps": 400}, 9),
        ({"num_train_epochs": 2.0, "gradient_accumulation_steps": 2}, 10),
        ({"num_train_epochs": 1.0, "per_device_train_batch_size": 100}, 1),
    ],
)
def test_it_takes_as_many_steps_as_asked_for(bench: Bench, settings: dict[str, Any], steps: int) -> None:
    progress = Steps()
    trained = bench.run(bench.loop(**settings), progress=progress)
    assert trained.position.step == steps
    assert (progress.total, sum(progress.done), progress.open) == (steps, steps, False)


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({"eval_strategy": "epoch"}, [9, 18, 20]),
        ({"eval_strategy": "steps", "eval_steps": 7}, [7, 14, 20]),
        ({"eval_strategy": "no"}, []),
    ],
)
def test_validation_is_measured_when_asked_for_and_at_the_end(
    bench: Bench, settings: dict[str, Any], at: list[int]
) -> None:
    validate = scripted([0.1] * len(at))
    trained = bench.run(bench.loop(validate=validate, num_train_epochs=4.0, max_steps=20, **settings))
    assert [record["step"] for record in trained.position.history] == at
    assert [record["epoch"] for record in trained.position.history] == [step / 9 for step in at]


def test_the_log_has_the_mean_loss_between_lines_and_the_measures(bench: Bench) -> None:
    each, fewer = bench.loop(logging_steps=1, max_steps=6, folder="each"), bench.loop(logging_steps=4, max_steps=6)
    bench.run(each)
    bench.run(fewer)
    losses = [line["loss"] for line in log_of(each)]
    assert [line["step"] for line in log_of(fewer)] == [4, 6]
    assert [line["loss"] for line in log_of(fewer)] == pytest.approx([np.mean(losses[:4]), np.mean(losses[4:])])


def test_the_log_has_the_measures_of_validation(bench: Bench) -> None:
    loop = bench.loop(validate=scripted([0.25, None]), num_train_epochs=2.0, logging_steps=100)
    bench.run(loop)
    measured = [line for line in log_of(loop) if "loss" not in line]
    seconds = [line.pop("seconds") for line in measured]
    assert 0 < seconds[0] < seconds[1]
    assert measured == [{"step": 9, "validation_accuracy": 0.25, "validation_ece": 0.5},
                        {"step": 18, "validation_ece": 0.5}]  # fmt: skip


def test_tokens_are_counted_without_padding(bench: Bench) -> None:
    loop = bench.loop(num_train_epochs=2.0)
    assert bench.run(loop).position.tokens == 2 * int(loop.rows.lengths.sum())


def test_the_rate_of_every_group_follows_the_schedule_from_its_own_peak(bench: Bench) -> None:
    rates: list[tuple[float, ...]] = []
    loop = bench.loop(max_steps=4, lr_scheduler_type="linear", learning_rate=1e-3, head_learning_rate=1e-2)
    handle = register_optimizer_step_pre_hook(
        lambda optimizer, *_: rates.append(tuple(sorted({group["lr"] for group in optimizer.param_groups})))
    )
    bench.run(loop)
    handle.remove()
    assert rates == [pytest.approx((1e-3 * factor, 1e-2 * factor)) for factor in (1.0, 0.75, 0.5, 0.25)]


# What a step is


def test_the_gradient_is_that_of_the_mean_loss_over_the_batch(bench: Bench) -> None:
    loop = bench.loop(max_steps=1, max_grad_norm=None, seed=3)
    with recorded_gradients() as steps:
        bench.run(loop)
    model = bench.model()
    index = epoch_batches(loop.rows.lengths, size=4, seed=3, epoch=0, strategy="group_by_length")[0]
    batch = loop.task.collate(loop.rows, index)
    nn.functional.cross_entropy(model(batch)["logits"], batch["label"]).backward()  # type: ignore[no-untyped-call]
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert float(steps[0].norm()) == pytest.approx(norm, rel=1e-4)


def test_no_row_counts_for_less_because_its_batch_by_tokens_has_many(bench: Bench) -> None:
    """Over an epoch the steps' gradients, each times what it was divided by, sum up to that of all rows together."""
    loop = bench.loop(
        per_device_train_batch_tokens=24,
        num_train_epochs=1.0,
        learning_rate=1e-12,
        max_grad_norm=None,
        weight_decay=0.0,
    )
    divisors: list[float] = []
    divided = loop._divisor
    loop._divisor = lambda weight: divisors.append(divided(weight)) or divisors[-1]  # type: ignore[method-assign]
    with recorded_gradients() as steps:
        bench.run(loop)
    made = epoch_batches(loop.rows.lengths, size=4, seed=5, epoch=0, strategy="group_by_length", tokens=24)
    counts = np.array([len(batch) for batch in made])
    assert counts.min() < counts.max()
    assert divisors == pytest.approx((np.cumsum(counts) / np.arange(1, len(counts) + 1)).tolist())
    model = bench.model()
    whole = loop.task.collate(loop.rows, np.arange(len(loop.rows)))
    loss = nn.functional.cross_entropy(model(whole)["logits"], whole["label"], reduction="sum")
    loss.backward()  # type: ignore[no-untyped-call]
    table = model.embeddings.word_embeddings.weight
    dense = [p for p in model.parameters() if p.grad is not None and p is not table]
    size = sum(p.numel() for p in dense)  # what follows in a step are the embedding rows that it read
    summed = sum(step[:size] * divisor for step, divisor in zip(steps, divisors, strict=True))
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in dense if p.grad is not None))
    assert float(torch.as_tensor(summed).norm()) == pytest.approx(norm, rel=1e-3)


@pytest.mark.parametrize("weights", [None, [5.0, 1.0, 0.2]])
def test_accumulation_equals_one_large_batch(bench: Bench, weights: list[float] | None) -> None:
    """36 rows at 8 x 3: a full step of 24 rows and one of 12 whose batches have 8 and 4."""
    options = LossOptions(0.1, None if weights is None else torch.tensor(weights))
    states, gradients, losses = [], [], []
    for size, accumulate in ((8, 3), (24, 1)):
        loop = bench.loop(
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulate,
            train_sampling_strategy="random",
            num_train_epochs=1.0,
            adam_epsilon=1.0,  # steps in proportion to the gradient, so that rounding is not blown up
            logging_steps=1,
            options=options,
            folder=f"run-{size}",
        )
        with recorded_gradients() as steps:
            bench.run(loop)
        gradients.append(steps)
        states.append(state_of(loop.model))
        losses.append([line["loss"] for line in log_of(loop)])
    assert [len(steps) for steps in gradients] == [2, 2]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-5, atol=1e-7)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_gradients_longer_than_the_limit_are_scaled_down_to_it(bench: Bench, accumulate: int) -> None:
    def gradients(limit: float | None) -> list[Tensor]:
        loop = bench.loop(max_steps=1, max_grad_norm=limit, gradient_accumulation_steps=accumulate)
        with recorded_gradients() as steps:
            bench.run(loop)
        return steps

    [free], [clipped], [loose] = gradients(None), gradients(0.01), gradients(1e6)
    assert free.norm() > 0.02
    assert float(clipped.norm()) == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm())
    torch.testing.assert_close(loose, free)


def test_label_smoothing_and_class_weights_shape_the_loss(bench: Bench) -> None:
    weights = torch.tensor([3.0, 1.0, 0.5])
    options = LossOptions(0.2, weights)
    loop = bench.loop(options=options, per_device_train_batch_size=36, max_steps=1, logging_steps=1)
    bench.run(loop)
    batch = loop.task.collate(loop.rows, np.arange(36))
    with torch.inference_mode():
        logits = bench.model().eval()(batch)["logits"]
        expected = nn.functional.cross_entropy(logits, batch["label"], weight=weights, label_smoothing=0.2)
        plain = nn.functional.cross_entropy(logits, batch["label"])
    [line] = log_of(loop)
    assert line["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert abs(float(plain) - float(expected)) > 1e-4


def test_a_loss_that_is_not_finite_ends_training_and_names_the_step(bench: Bench) -> None:
    loop = bench.loop(max_steps=9, learning_rate=1e30, max_grad_norm=None, save_steps=100)
    progress = Steps()
    with pytest.raises(HoneError) as error:
        bench.run(loop, progress=progress)
    assert error.value.code == "train.loss-not-finite"
    assert f"step {loop.position.step + 1} " in str(error.value)
    assert not progress.open
    assert not loop.setup.checkpoints.exists()


@pytest.mark.parametrize("most", [1.0, None])
def test_a_gradient_that_is_not_finite_ends_training_before_it_moves_a_weight(bench: Bench, most: float | None) -> None:
    model, batches = bench.model(), iter(range(1, 99))
    last = [*model.parameters()][-1]
    last.register_hook(lambda gradient: gradient / (0.0 if next(batches) == 4 else 1.0))
    loop = bench.loop(model=model, max_steps=4, save_steps=3, max_grad_norm=most)
    with pytest.raises(HoneError) as error:
        bench.run(loop)
    assert error.value.code == "train.gradient-not-finite"
    assert "at step 4 " in str(error.value)
    assert "of row " in str(error.value)
    assert (loop.setup.checkpoints.parent / "stopped-at-4.safetensors").is_file()
    assert [path.name for path in loop.setup.checkpoints.iterdir()] == ["step-000000003"]
    before = bench.loop(max_steps=3, max_grad_norm=most, folder="before")
    bench.run(before)
    assert torch.equal(last, [*before.model.parameters()][-1])


@pytest.mark.parametrize("settings", [{"save_steps": 2}, {}], ids=["checkpoint", "end"])
def test_weights_that_are_not_finite_end_training_before_they_are_kept(bench: Bench, settings: dict[str, Any]) -> None:
    """Of finite loss and gradient: the last ones are near the end of float32, and a step moves some beyond."""
    model = bench.model()
    torch.nn.init.constant_([*model.parameters()][-1], 3.3e38)
    loop = bench.loop(model=model, max_steps=1, learning_rate=2e37, **settings)
    with pytest.raises(HoneError, match="step 1 left weights that are no finite numbers: ") as error:
        bench.run(loop)
    assert error.value.code == "train.weights-not-finite"
    assert not loop.setup.checkpoints.exists()


def test_the_norm_of_the_gradient_is_logged_though_it_is_never_scaled_down(bench: Bench) -> None:
    loop = bench.loop(max_steps=2, logging_steps=1, max_grad_norm=None)
    with recorded_gradients() as steps:
        bench.run(loop)
    norms = [float(gradient.norm()) for gradient in steps]
    assert [line["gradient_norm"] for line in log_of(loop)] == pytest.approx(norms, rel=1e-5)


def test_the_speed_is_that_of_the_steps_since_the_last_line_and_of_nothing_between_them(bench: Bench) -> None:
    waits = iter([0.0, 2.0, 0.0])
    validate = scripted([0.5] * 3, then=lambda _: time.sleep(next(waits)))
    loop = bench.loop(validate=validate, eval_strategy="steps", eval_steps=1, max_steps=3, logging_steps=1)
    trained = bench.run(loop)
    lines = [line for line in log_of(loop) if "loss" in line]
    assert lines[2]["seconds"] > 2
    assert lines[2]["tokens_per_s"] > 3 * trained.position.tokens / trained.seconds


def test_validation_leaves_training_as_it_was(bench: Bench) -> None:
    def validate(model: Model) -> dict[str, float | None]:
        model.eval()
        return {"accuracy": 0.5}

    settings = {"dropout": 0.3, "max_steps": 6, "keep": "last"}
    often = bench.loop(validate=validate, eval_strategy="steps", eval_steps=1, folder="often", **settings)
    bench.run(often)
    never = bench.loop(eval_strategy="no", **settings)
    bench.run(never)
    assert same(state_of(often.model), state_of(never.model))


def test_what_changes_while_it_learns_knows_the_step(bench: Bench) -> None:
    documents = Documents(load_tokenizer(bench.base), max_tokens=16)
    learning = Pretraining([decided({"name": "vae"}, OBJECTIVES)], documents)
    rows = Rows(learning.encode({"text": dataset().column("text")}, purpose="learn"))
    model, plain = build_model(bench.base, learning.head), bench.loop()
    loop = Loop(model, learning, rows, setup=plain.setup, accelerator=plain.accelerator)
    for step in (0, loop.total // 2):
        model.noise.start(seed=0, step=step)
        assert learning.parts[""].done == step / loop.total

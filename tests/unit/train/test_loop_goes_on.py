"""A run that died, was interrupted or had ended goes on where it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from training_bench import Bench, Steps, log_of, same, scripted, state_of

from hone.train.checkpoint import latest_checkpoint


def straight(bench: Bench, **settings: Any) -> tuple[dict[str, Tensor], Tensor, list[dict[str, Any]]]:
    loop = bench.loop(folder="straight", **settings)
    bench.run(loop)
    return state_of(loop.model), torch.get_rng_state(), log_of(loop)


def without_clock(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in ("seconds", "tokens_per_s")} for line in lines]


def interrupt(_: int) -> None:
    signal.raise_signal(signal.SIGINT)


def terminate_twice(_: int) -> None:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


def crash(_: int) -> None:
    raise MemoryError


DROPOUT: dict[str, Any] = {"dropout": 0.3, "num_train_epochs": 2.0, "logging_steps": 3, "eval_strategy": "steps"}


@pytest.mark.parametrize(("optim", "at"), [("adamw", 4), ("adamw", 9), ("adafactor", 5), ("muon", 5)])
def test_a_run_that_died_goes_on_bit_for_bit(bench: Bench, optim: str, at: int) -> None:
    settings = {**DROPOUT, "optim": optim, "save_steps": 2, "learning_rate": 1e-2, "lr_scheduler_type": "cosine"}
    scores = [(7 * i) % 18 / 18 for i in range(18)]
    state, generator, lines = straight(bench, validate=scripted(scores), eval_steps=1, **settings)
    dying = scripted(scores, then=lambda i: crash(i) if i + 1 == at else None)
    with pytest.raises(MemoryError):
        bench.run(bench.loop(validate=dying, eval_steps=1, **settings))
    saved = (at - 1) // 2 * 2
    again = bench.loop(model=bench.model(seed=77, dropout=0.3), validate=scripted(scores[saved:]), eval_steps=1,
                       **settings)  # fmt: skip
    trained = bench.run(again)
    assert trained.resumed_at == saved
    assert same(state_of(again.model), state)
    assert torch.equal(torch.get_rng_state(), generator)
    assert without_clock(log_of(again)) == without_clock(lines)


@pytest.mark.parametrize("stop", [interrupt, terminate_twice])
def test_an_interrupted_run_leaves_its_last_step_and_goes_on_bit_for_bit(
    bench: Bench, stop: Callable[[int], None]
) -> None:
    state, _, lines = straight(bench, validate=scripted([0.1] * 6), eval_steps=3, **DROPOUT)
    stopping = scripted([0.1] * 6, then=lambda i: stop(i) if i == 1 else None)
    loop = bench.loop(validate=stopping, eval_steps=3, **DROPOUT)
    with pytest.raises(KeyboardInterrupt):
        bench.run(loop)
    path = latest_checkpoint(loop.setup.checkpoints, identity="this run")
    assert path is not None
    assert path.name == "step-000000006"
    again = bench.loop(validate=scripted([0.1] * 4), eval_steps=3, **DROPOUT)
    assert bench.run(again).resumed_at == 6
    assert same(state_of(again.model), state)
    assert without_clock(log_of(again)) == without_clock(lines)


def test_a_second_interrupt_does_not_wait_for_the_step(bench: Bench) -> None:
    loop = bench.loop(
        validate=scripted([0.1] * 18, then=lambda i: (interrupt(i), interrupt(i))[0] if i == 1 else None),
        eval_steps=1,
        **DROPOUT,
    )
    progress = Steps()
    with pytest.raises(KeyboardInterrupt):
        bench.run(loop, progress=progress)
    assert not progress.open
    assert not loop.setup.checkpoints.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_handlers_of_signals_are_put_back(bench: Bench, number: int) -> None:
    before = signal.getsignal(number)
    bench.run(bench.loop(max_steps=1))
    assert signal.getsignal(number) is before


def test_training_runs_in_another_thread_too(bench: Bench) -> None:
    loop = bench.loop(max_steps=2)
    thread = threading.Thread(target=bench.run, args=(loop,))
    thread.start()
    thread.join()
    assert loop.position.step == 2


def test_a_finished_run_given_again_trains_no_step_and_ends_the_same(bench: Bench) -> None:
    first = bench.loop(validate=scripted([0.2, 0.9, 0.1]), num_train_epochs=3.0, save_steps=50)
    bench.run(first)
    again = bench.loop(model=bench.model(seed=4), validate=scripted([]), num_train_epochs=3.0, save_steps=50)
    assert bench.run(again).resumed_at == 27
    assert same(state_of(again.model), state_of(first.model))


def test_a_run_of_another_identity_starts_from_the_beginning_with_a_new_log(bench: Bench) -> None:
    bench.run(bench.loop(max_steps=4, save_steps=2, logging_steps=1))
    other = bench.loop(max_steps=3, save_steps=2, logging_steps=1, identity="another run")
    assert bench.run(other).resumed_at is None
    assert [line["step"] for line in log_of(other)] == [1, 2, 3]


def test_without_save_steps_nothing_is_left(bench: Bench) -> None:
    loop = bench.loop(max_steps=3)
    bench.run(loop)
    assert not loop.setup.checkpoints.exists()

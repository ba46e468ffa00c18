"""Batches by workers: in order, on one torch thread each, and nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from hone.predict.batching import score_rows
from hone.predict.generation.generate import Abandoned
from hone.predict.predictor import load
from hone.predict.workers import _pool, by_workers
from hone.tasks.rows import Rows


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_order_from_threads_with_one_torch_thread_each() -> None:
    made = list(by_workers(lambda item: (item, torch.get_num_threads(), threading.get_ident()), range(9), workers=2))
    assert [item for item, _, _ in made] == list(range(9))
    assert {threads for _, threads, _ in made} == {1}
    assert threading.get_ident() not in {ident for _, _, ident in made}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_thread_that_came_while_workers_began_has_the_engines_threads(text_bundle: Path) -> None:
    predictor = load(text_bundle, device="cpu")

    def answer() -> tuple[int, int]:
        torch.set_num_threads(1)  # as it is for a thread whose first use of torch meets a worker's
        workers = predictor.engine.workers
        predictor.predict("they love the bank")
        return workers, torch.get_num_threads()

    with ThreadPoolExecutor(1) as late:
        assert late.submit(answer).result() == (2, 2)


@pytest.mark.usefixtures("two_threads")
def test_whoever_opened_an_engine_may_change_its_threads(text_bundle: Path) -> None:
    predictor = load(text_bundle, device="cpu")
    torch.set_num_threads(1)
    predictor.predict("they love the bank")
    assert (predictor.engine.workers, torch.get_num_threads()) == (1, 1)


def test_what_a_worker_raises_is_raised_and_the_rest_is_not_begun() -> None:
    begun = []

    def make(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError("one")
        time.sleep(0.001)  # the rest must not be done before the error is told
        return item

    with pytest.raises(ValueError, match="one"):
        list(by_workers(make, range(1000), workers=2))
    assert len(begun) < 1000


def test_callers_at_the_same_time_take_turns() -> None:
    """Who comes while another has many batches to do waits for those that have been begun, not for all of them."""
    go, order, pool = threading.Event(), list[str](), _pool(2)

    def make(name: str) -> str:
        order.append(name)
        if name in ("a0", "a1"):
            assert go.wait(20)
        return name

    with ThreadPoolExecutor(2) as callers:
        many = callers.submit(lambda: list(by_workers(make, [f"a{i}" for i in range(50)], workers=2)))
        limit = time.monotonic() + 20
        while len(order) < 2:
            assert time.monotonic() < limit
        waiting = pool._work_queue.qsize()
        few = callers.submit(lambda: list(by_workers(make, ["b0", "b1"], workers=2)))
        while pool._work_queue.qsize() < waiting + 2:
            assert time.monotonic() < limit
        go.set()
        assert few.result() == ["b0", "b1"]
        assert many.result() == [f"a{i}" for i in range(50)]
    assert max(order.index("b0"), order.index("b1")) < order.index("a9")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("two_threads")
def test_nothing_is_read_that_nobody_waits_for_any_more(text_bundle: Path, workers: int) -> None:
    predictor = load(text_bundle, device="cpu")
    rows = Rows(predictor.task.encode({"text": ["they love the bank"] * 1000}, purpose="predict"))
    told: list[int] = []

    class Counted:
        """The engine, for so many workers and few rows at once."""

        tokens_at_once = 12

        def __getattr__(self, name: str) -> object:
            return workers if name == "workers" else getattr(predictor.engine, name)

    with pytest.raises(Abandoned) as gone:
        score_rows(
            predictor.task,
            Counted(),  # type: ignore[arg-type]
            rows,
            done=told.append,
            stopped=lambda: len(told) >= 3,
        )
    assert gone.value.code == "predict.abandoned"
    assert 3 <= len(told) < 20
    with pytest.raises(Abandoned):
        predictor.until(lambda: True).predict("they love the bank")


@pytest.mark.usefixtures("two_threads")
def test_scores_are_the_same_by_one_worker_or_several(text_bundle: Path) -> None:
    predictor = load(text_bundle, device="cpu")
    texts = [" ".join(["they love the bank"] * (1 + i % 7)) for i in range(90)]
    rows = Rows(predictor.task.encode({"text": texts}, purpose="predict"))
    told: list[int] = []

    class Counted:
        """The engine, for so many workers."""

        def __init__(self, workers: int) -> None:
            self.workers = workers

        def __getattr__(self, name: str) -> object:
            return getattr(predictor.engine, name)

    one, several = (
        score_rows(predictor.task, Counted(workers), rows, done=told.append)  # type: ignore[arg-type]
        for workers in (1, 3)
    )
    for a, b in zip(one, several, strict=True):
        torch.testing.assert_close(torch.from_numpy(a), torch.from_numpy(b), rtol=1e-5, atol=1e-6)
    assert sum(told) == 2 * len(rows)
    assert len(told) > 2

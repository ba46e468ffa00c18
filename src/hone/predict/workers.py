"""Batches side by side, one core each.

A batch that two threads share makes them wait for each other after every operation, for the slower one each time. Two
batches on a thread each meet once, at the end.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")


def by_workers(make: Callable[[Item], Made], items: Sequence[Item], *, workers: int) -> Iterator[Made]:
    """``make(item)`` of every item, in order, by so many threads within which torch has one thread.

    No more of them than the workers are soon to take are asked for at a time, so that callers at the same time take
    turns. What is not begun when the caller stops, or when one fails, is not done. torch's number of threads is as
    before at the end; MKL's is one for the whole process meanwhile.
    """
    threads, told = torch.get_num_threads(), threading.local()

    def alone(item: Item) -> Made:
        if not hasattr(told, "done"):  # once in each thread: it is slow
            torch.set_num_threads(1)
            told.done = True
        return make(item)

    asked: dict[Future[Made], int] = {}
    made: dict[int, Made] = {}
    left, at = enumerate(items), 0
    try:
        while at < len(items):
            for number, item in islice(left, workers + 1 - len(asked)):  # one waits for whoever is free first
                asked[_pool(workers).submit(alone, item)] = number
            for future in wait(asked, return_when=FIRST_COMPLETED).done:
                made[asked.pop(future)] = future.result()
            while at in made:
                yield made.pop(at)
                at += 1
    finally:
        for future in asked:
            future.cancel()
        wait(asked)
        torch.set_num_threads(threads)


def as_opened(threads: int) -> None:
    """Have torch use so many threads, those of the engine, for what the calling thread does.

    A thread that first comes to torch while workers begin finds their one thread as the default, and would keep it. An
    engine of one thread needs no more.
    """
    if threads > 1 and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads that stay: what a new one allocates first is slow to come by."""
    return ThreadPoolExecutor(workers, thread_name_prefix="hone-worker")

"""One piece of work ahead: the next is made in a thread while the one before is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """``make(item)`` of every item, in order; what it raises is raised when its turn comes.

    One item is taken from ``items`` beyond the one whose result is used, in the thread that iterates.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        waiting: Future[Made] | None = None
        for item in items:
            coming = thread.submit(make, item)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()

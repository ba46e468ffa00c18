"""Work one ahead: in order, in another thread, and what fails is told in its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hone.core.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 5])
def test_results_come_in_order(count: int) -> None:
    assert list(ahead(lambda item: item * item, range(count))) == [item * item for item in range(count)]


def test_the_next_is_made_while_one_is_used_and_no_more_than_that() -> None:
    begun = [threading.Event() for _ in range(4)]

    def make(item: int) -> int:
        begun[item].set()
        return item

    results = ahead(make, range(4))
    assert next(results) == 0
    assert begun[1].wait(5)
    assert not begun[2].is_set()
    results.close()  # type: ignore[attr-defined]
    assert not begun[2].is_set()


def test_what_fails_is_raised_in_its_turn() -> None:
    def make(item: int) -> int:
        if item == 1:
            raise ValueError("one")
        return item

    results = ahead(make, iter(range(3)))
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)


def test_items_are_taken_in_the_thread_that_iterates() -> None:
    threads = set()

    def items() -> Iterator[int]:
        for item in range(3):
            threads.add(threading.get_ident())
            yield item

    assert list(ahead(lambda item: threading.get_ident(), items()))[0] != threading.get_ident()
    assert threads == {threading.get_ident()}

"""Ctrl-C and SIGTERM as a wish that is heard between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_elsewhere: list[threading.Event] = []  # of trainings that run in another thread than the main one


def ask_to_stop() -> bool:
    """Ask a training that runs in another thread of this process to stop at its next step; whether one hears it."""
    for asked in _elsewhere:
        asked.set()
    return bool(_elsewhere)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C only asks to stop at the next step, and a second one interrupts at once; SIGTERM only
    asks, however often: who ends a group of processes sends it to each, and their leader sends it on. In another thread
    than the main one, which alone hears signals, `ask_to_stop` asks."""
    asked = threading.Event()

    def ask(number: int, _: object) -> None:
        if number == signal.SIGINT and asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        _elsewhere.append(asked)
        try:
            yield asked.is_set
        finally:
            _elsewhere.remove(asked)
        return
    # A handler that Python has not set, whose place it tells by None, could not be put back.
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not None]
    old = {number: signal.signal(number, ask) for number in heard}
    try:
        yield asked.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

"""A wish to stop, of a training that another thread than the main one does."""

from __future__ import annotations

import threading

from hone.train.stopping import ask_to_stop, asked_to_stop


def test_a_training_in_another_thread_hears_who_asks_for_it_and_is_forgotten_after() -> None:
    listens, heard = threading.Event(), threading.Event()

    def train() -> None:
        with asked_to_stop() as asked:
            assert not asked()
            listens.set()
            while not asked():
                pass
            heard.set()

    assert not ask_to_stop()
    thread = threading.Thread(target=train)
    thread.start()
    assert listens.wait(10)
    assert ask_to_stop()
    thread.join(10)
    assert heard.is_set()
    assert not ask_to_stop()

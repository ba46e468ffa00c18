"""`Together`: what several threads ask a writer for at a time is written in one loop.

A pass over the rows of many costs little more than one over a single row, so the texts of one request join those of
others between two of their tokens (continuous batching: Yu et al. 2022, Orca).
"""

from __future__ import annotations

import functools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from hone.models.writers.writer import Writer
from hone.predict.generation.generate import Abandoned, search_of
from hone.predict.generation.loop import Loop, Search
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary, Written
from hone.predict.workers import as_opened
from hone.tasks.decoding import DecodingSettings

MOST_PROMPTS = 512  # of one loop; more wait for their turn
MOST_LOOPS = 32  # that go on at a time, each for other settings; others wait
Found = tuple[int, list[Written]]  # which prompt it is, and its texts


class Together:
    """Writes for whoever asks, from any thread; those that ask for the same settings share a loop, which a thread works
    on for as long as somebody waits.

    Args:
        writer: Gives the writer.
        threads: Of torch, that a pass uses.
        room: Of a number of tokens that each row has at least: within it, most tokens of the rows that are written at a
            time, as of `hone.predict.generation.generate.generate`.
    """

    def __init__(
        self,
        writer: Callable[[], Writer],
        *,
        threads: Callable[[], int],
        room: Callable[[int], AbstractContextManager[int]],
    ) -> None:
        self._writer, self._threads, self._room = writer, threads, room
        self._lock = threading.Lock()
        self._desks: dict[Any, Desk] = {}

    def ask(
        self,
        prompts: Sequence[Sequence[int]],
        settings: DecodingSettings,
        *,
        vocabulary: Vocabulary,
        stopped: Callable[[], bool] = lambda: False,
        follows: bool = False,
    ) -> Asked:
        """Have texts written for prompts, as `hone.predict.generation.generate.generate` does.

        Args:
            stopped: Asked before each token, whether to write no further.
            follows: There is one prompt and one text, whose tokens are told as they come.

        Raises:
            DataError, RecipeError, BundleError, MissingExtra: As `generate`, at once.
        """
        key = (
            settings.model_dump_json(),
            vocabulary.eos_token_ids,
            vocabulary.forced_bos_token_id,
            vocabulary.most_tokens,
        )
        asked = Asked(prompts, stopped, follows=follows)

        def made() -> Desk:
            words = [Words(settings, vocabulary)] * MOST_PROMPTS
            return Desk(self._writer(), search_of(self._writer(), settings, vocabulary, words))

        with self._lock:
            known = self._desks.get(key)
        new = known or made()  # outside of the lock: a constraint takes its time
        for prompt in prompts:
            new.search.limit(prompt)  # says what is wrong with it
        with self._lock:
            desk = self._desks.get(key)
            if desk is None:
                desk = self._desks[key] = made() if new is known else new
                _pool().submit(self._work, key, desk, least=1 + settings.max_new_tokens)
            desk.come.put(asked)
        return asked

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        settings: DecodingSettings,
        *,
        vocabulary: Vocabulary,
        stopped: Callable[[], bool] = lambda: False,
        done: Callable[[int], None] = lambda count: None,
    ) -> list[list[Written]]:
        """What `hone.predict.generation.generate.generate` gives."""
        found: list[list[Written]] = [[] for _ in prompts]
        for told in self.ask(prompts, settings, vocabulary=vocabulary, stopped=stopped).news():
            assert isinstance(told, tuple)  # nothing is followed
            found[told[0]] = told[1]
            done(1)
        return found

    def _work(self, key: Any, desk: Desk, *, least: int) -> None:
        try:
            as_opened(self._threads())
            with self._room(least) as room:
                desk.open(tokens_at_once=room)
                while not self._closed(key, desk):
                    desk.step()
        except BaseException as error:  # whatever it is, those who wait have to hear of it
            with self._lock:
                if self._desks.get(key) is desk:
                    del self._desks[key]
                desk.fail(error)

    def _closed(self, key: Any, desk: Desk) -> bool:
        """Whether nobody waits any more; who comes later begins another one."""
        with self._lock:
            if desk.busy:
                return False
            del self._desks[key]
            return True


class Asked:
    """What one caller waits for.

    Args:
        stopped: See `Together.ask`.
        follows: See `Together.ask`.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], stopped: Callable[[], bool], *, follows: bool) -> None:
        self.prompts, self.follows = prompts, follows
        self.left = len(prompts)  # prompts whose texts are to be told yet
        self.told = queue.SimpleQueue[Found | int | BaseException]()  # a number is a token of the text that is followed
        self._stopped, self._gone = stopped, False

    @property
    def gone(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._gone or self._stopped()

    def news(self) -> Iterator[Found | list[int]]:
        """What is found, as it is found, until all is; of a text that is followed its tokens so far, where they are
        more than before.

        Raises:
            Abandoned: It was stopped.
        """
        missing, so_far = len(self.prompts), list[int]()
        try:
            while missing:
                told = self.told.get()
                if isinstance(told, BaseException):
                    raise told
                if isinstance(told, tuple):
                    missing -= 1
                    yield told
                    continue
                so_far.append(told)
                if self.told.empty():  # who is slow hears of several at a time
                    yield so_far
        finally:
            self._gone = True  # where the caller gave up


class Desk:
    """A loop, and who waits for what of it.

    Attributes:
        come: Who has come, from any thread; the rest is its worker's.
    """

    def __init__(self, writer: Writer, search: Search) -> None:
        self.search = search
        self.come = queue.SimpleQueue[Asked]()
        self._asked = deque[Asked]()  # who is not wholly taken in yet
        self._writer = writer
        self._loop: Any = None
        self._free = list(range(MOST_PROMPTS))  # keys
        self._owner: dict[int, tuple[Asked, int]] = {}  # of a key, whose prompt it has and which of them
        self._taken = 0  # prompts of the first of those

    def open(self, *, tokens_at_once: int) -> None:
        """Begin, with room for so many tokens."""
        self._loop = Loop(self._writer, self.search, tokens_at_once=tokens_at_once)

    @property
    def busy(self) -> bool:
        """Whether somebody waits."""
        return bool(self._asked or self._owner) or not self.come.empty()

    def step(self) -> None:
        """Take in who has come, let go who has left, write one token more of each text and tell what is done."""
        self._hear()
        self._let_go()
        self._take_in()
        if not self._loop.busy:
            return
        for key, texts in self._loop.step().items():
            asked, which = self._owner.pop(key)
            self._free.append(key)
            if asked.left:
                asked.left -= 1
                asked.told.put((which, texts))
        for row in self.search.rows:
            asked, _ = self._owner[row.key]
            if asked.follows and asked.left:
                asked.told.put(row.ids[-1])

    def _hear(self) -> None:
        while not self.come.empty():
            self._asked.append(self.come.get())

    def _everyone(self) -> set[Asked]:
        return {*self._asked, *(asked for asked, _ in self._owner.values())}

    def _let_go(self) -> None:
        left = {asked for asked in self._everyone() if asked.gone}
        for asked in left:
            if asked.left:
                asked.left = 0
                asked.told.put(Abandoned("nobody waits for what was being written", code="generation.abandoned"))
        for key in self._loop.drop({key for key, (asked, _) in self._owner.items() if asked in left}):
            del self._owner[key]
            self._free.append(key)

    def _take_in(self) -> None:
        while self._asked and (self._free or not self._asked[0].left):
            asked = self._asked[0]
            many = min(len(self._free), len(asked.prompts) - self._taken) if asked.left else 0
            keys = [self._free.pop() for _ in range(many)]
            which = range(self._taken, self._taken + many)
            self._owner |= {key: (asked, at) for key, at in zip(keys, which, strict=True)}
            self._loop.put({key: asked.prompts[at] for key, at in zip(keys, which, strict=True)})
            self._taken += many
            if asked.left and self._taken < len(asked.prompts):
                return
            self._asked.popleft()
            self._taken = 0

    def fail(self, error: BaseException) -> None:
        """Tell all who wait."""
        self._hear()
        for asked in self._everyone():
            if asked.left:
                asked.left = 0
                asked.told.put(error)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads that stay, as those of `hone.predict.workers` do."""
    return ThreadPoolExecutor(MOST_LOOPS, thread_name_prefix="hone-writer")

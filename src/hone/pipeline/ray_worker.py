"""What runs inside of Ray: a worker, which is one process of a training, and the `Watch` that it reports to."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hone.core.errors import INTERRUPTED
from hone.core.processes import place

UNUSABLE = 2


@dataclass(frozen=True)
class Ended:
    """How a process of a training has ended.

    Attributes:
        code: The exit code that the command would have ended with.
        printed: What it printed as its result.
    """

    code: int
    printed: str = ""


@dataclass
class Watched:
    """What a `Watch` has seen since it was last asked.

    Attributes:
        begun: Whether workers have begun.
        said: What processes said, in their order.
        ended: Processes that have ended, by their number.
    """

    begun: bool = False
    said: list[str] = field(default_factory=list)
    ended: dict[int, Ended] = field(default_factory=dict)


class Watch:
    """An actor between workers and whoever launched them: words and ends go one way, the wish to stop the other."""

    def __init__(self) -> None:
        self._seen, self._wish = Watched(), asyncio.Event()

    async def begin(self) -> None:
        """A worker has begun."""
        self._seen.begun = True

    async def say(self, words: str) -> None:
        """What a worker says."""
        self._seen.said.append(words)

    async def end(self, number: int, ended: Ended) -> None:
        """Process ``number`` has ended."""
        self._seen.ended[number] = ended

    async def seen(self) -> Watched:
        """What was seen; what was said is told once."""
        seen = Watched(self._seen.begun, self._seen.said, dict(self._seen.ended))
        self._seen.said = []
        return seen

    async def stop(self) -> None:
        """Ask all workers to stop."""
        self._wish.set()

    async def asked(self) -> None:
        """Until they are asked to stop."""
        await self._wish.wait()


class Failed(Exception):
    """A process has ended otherwise than well; it has said why."""


def work(told: dict[str, Any]) -> None:
    """Be one process of a training: what `ray.train.torch.TorchTrainer` calls in each worker.

    Args:
        told: ``command`` takes ``arguments`` and returns an exit code, in ``folder``; ``watch`` is a `Watch`.

    Raises:
        Failed: The exit code is not 0. Ray then ends the other workers.
    """
    import ray

    watch = told["watch"]
    ray.get(watch.begin.remote())
    threading.Thread(target=_hear, args=(watch,), daemon=True).start()
    ended = run_here(told["command"], told["arguments"], folder=told["folder"], say=watch.say.remote)
    ray.get(watch.end.remote(place().number, ended))
    if ended.code:
        raise Failed(f"exit code {ended.code}")


def run_here(
    command: Callable[[list[str]], int], arguments: list[str], *, folder: str, say: Callable[[str], Any]
) -> Ended:
    """Run ``command`` in ``folder``, with what it says sent to ``say`` line by line."""
    try:
        os.chdir(folder)
    except OSError as error:
        say(f"hone: a worker does not see the folder {folder}, where it was launched: {error}\n")
        return Ended(UNUSABLE)
    printed, words = io.StringIO(), _Words(say)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(words):
        code = command(arguments)
    words.end()
    return Ended(code, printed.getvalue() if place().first else "")


def _hear(watch: Any) -> None:
    """Wait for the wish to stop, and pass it on; where no training hears it, end."""
    import ray

    from hone.train.stopping import ask_to_stop

    ray.get(watch.asked.remote())
    if not ask_to_stop():
        os._exit(INTERRUPTED)


class _Words(io.TextIOBase):
    """A stream of whole lines."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self._say, self._left = say, ""

    def writable(self) -> bool:
        return True

    def write(self, words: str) -> int:
        lines, end, self._left = (self._left + words).rpartition("\n")
        if end:
            self._say(lines + end)
        return len(words)

    def end(self) -> None:
        """Say what is left of a line."""
        if self._left:
            self.write("\n")

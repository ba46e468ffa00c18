"""Functions that several processes run at once, each a new one: what the tests of several processes share.

They are not forks of the process of the tests, which has threads by then: a lock that one of those held while it was
forked would be held for ever. A server that has imported hone, and has no thread, is forked in their place.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

HOST = "127.0.0.1"
PATIENCE = 200.0  # seconds, for all of them together
PORTS = range(15_000, 30_000)  # below those that a system gives to connections, which another test may be given


def at_once(work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Call ``work`` once for each of ``arguments``, in a process each, and wait until all have ended; one that is
    killed has. What they are given is pickled.

    Raises:
        AssertionError: They hang; it says where each stands.
    """
    servers = multiprocessing.get_context("forkserver")
    servers.set_forkserver_preload(["hone.pipeline.run", "hone.train.loop"])
    with tempfile.TemporaryDirectory() as folder:
        stands = [Path(folder, str(number)) for number in range(len(arguments))]
        each = [
            servers.Process(target=_one, args=(work, given, dict(os.environ), torch.get_num_threads(), where))
            for given, where in zip(arguments, stands, strict=True)
        ]
        for process in each:
            process.start()
        end = time.monotonic() + PATIENCE
        for process in each:
            process.join(max(0.0, end - time.monotonic()))
        hanging = [number for number, process in enumerate(each) if process.is_alive()]
        for process in each:
            process.kill()
        assert not hanging, "\n".join(f"process {i} hangs:\n{_read(stands[i])}" for i in hanging)


def free_port() -> int:
    """One that nothing listens at; other processes of the tests look for theirs elsewhere."""
    own = os.getpid() * 37 % len(PORTS)
    for port in (*PORTS[own:], *PORTS[:own]):
        with socket.socket() as tried:
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("every port is taken")


def _one(work: Callable[..., None], given: tuple[Any, ...], env: dict[str, str], threads: int, stands: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    torch.set_num_threads(threads)
    warnings.simplefilter("error")
    with stands.open("w") as file:
        faulthandler.dump_traceback_later(PATIENCE - 20, file=file)
        work(*given)
        os._exit(0)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else "it did not begin"

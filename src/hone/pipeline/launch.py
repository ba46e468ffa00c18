"""`launch`: one command of hone as several processes on one machine or on many, by torch's elastic agent (torchrun)."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from hone.core.errors import FINAL, HoneError, RecipeError
from hone.core.lineage import digest_value
from hone.pipeline.stages import STAGES

PORT = 29500  # torchrun's own
HEAD = re.compile(r"(\[[\w.:]+\]|[\w.-]+)(?P<port>:\d{1,5})?")
# Each start of the processes meets in a store of its own. In one that all starts share, names would have to tell them
# apart, and what torchrun counts starts by is counted by each machine for itself.
OWN_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"


def require_head(head: str, *, port: int) -> None:
    """Raise unless ``head`` is empty or names a machine, and maybe its port.

    Raises:
        RecipeError: It does not.
    """
    if head and not HEAD.fullmatch(head):
        raise RecipeError(f"--head {head!r}", expected=f"HOST or HOST:PORT, as in host-a:{port}", code="launch.head")


def address_of(head: str, *, port: int, alone: str) -> str:
    """``HOST:PORT`` of ``head``, with ``port`` where it names none; ``alone`` where it is empty."""
    named = HEAD.fullmatch(head)
    return alone if named is None else head if named["port"] else f"{head}:{port}"


@dataclass(frozen=True)
class Launch:
    """How many processes run a command, and how those of several machines find one another.

    Attributes:
        nodes: Machines, at least and at most: with fewer than the most it goes on when one is lost.
        procs_per_node: Processes on each.
        head: ``HOST:PORT`` of one of the machines, which all can reach; of a single machine there is no need.
        max_restarts: How often all processes are started again when one was killed or has failed; not where the
            recipe, the data or the command cannot be used, or a gate is not met: it would end the same way.
        name: What sets this launch apart from others at the same head.
    """

    nodes: tuple[int, int] = (1, 1)
    procs_per_node: int = 1
    head: str = ""
    max_restarts: int = 0
    name: str = "hone"

    def __post_init__(self) -> None:
        if self.nodes != (1, 1) and not self.head:
            raise RecipeError(
                f"{self.nodes[1]} nodes, and nothing that says where they meet",
                expected=f"--head HOST:{PORT}, a machine that all of them reach",
                code="launch.no-head",
            )
        require_head(self.head, port=PORT)

    @property
    def endpoint(self) -> str:
        """Where they meet, as torchrun has it: ``HOST:PORT``."""
        return address_of(self.head, port=PORT, alone="localhost:0")

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command, in torchrun's own words, that does the same on each of the machines."""
        low, high = self.nodes
        return [
            "env",
            f"{OWN_STORE}=1",
            "torchrun",
            f"--nnodes={high if low == high else f'{low}:{high}'}",
            f"--nproc-per-node={self.procs_per_node}",
            f"--max-restarts={self.max_restarts}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={self.endpoint}",
            f"--rdzv-id={self.name}",
            "-m",
            "hone",
            *arguments,
        ]

    def lines(self, arguments: Sequence[str]) -> list[str]:
        """What to type on each machine."""
        line = shlex.join(self.command(arguments))
        return [f"node {number}: {line}" for number in range(self.nodes[1])]


def name_of(arguments: Sequence[str]) -> str:
    """What sets the launch of a command apart from others at the same head: the same on every machine that is given the
    command in the same words."""
    return f"hone-{digest_value(list(arguments))[:16]}"


def parse_range(words: str, *, option: str) -> tuple[int, int]:
    """``4``, or ``2:4``: from two machines, or workers, on, at most four.

    Raises:
        RecipeError: It is neither.
    """
    low, _, high = words.partition(":")
    try:
        found = int(low), int(high or low)
    except ValueError:
        found = 0, 0
    if not 1 <= found[0] <= found[1]:
        raise RecipeError(
            f"{option} {words!r}", expected="a number such as 4, or two such as 2:4", code=f"launch.{option[2:]}"
        )
    return found


def require_launchable(arguments: Sequence[str]) -> None:
    """Raise `RecipeError` unless ``arguments`` begin with a command that several processes can share."""
    able = ("run", *(kind for kind in STAGES if STAGES[kind].shared))
    if not arguments or arguments[0] not in able:
        raise RecipeError(
            f"the command {arguments[0]!r}" if arguments else "no command",
            expected=f"one of: {', '.join(able)}",
            fix="Other commands run in one process, without launch.",
            code="launch.command",
        )


def launch(how: Launch, command: Sequence[str]) -> int:
    """Run ``command`` in the processes of this machine, until all of them have ended; the exit code they ended with.

    Args:
        command: A program and its arguments.

    Raises:
        HoneError: One was killed once more than `Launch.max_restarts`; or the machines did not meet.
        KeyboardInterrupt: It was interrupted, by Ctrl-C or SIGTERM; so were they, and what trained has left its
            checkpoint.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.rendezvous import RendezvousClosedError, RendezvousError

    from hone.pipeline.agent import run_agent

    for name in ("agent.server.api", "agent.server.local_elastic_agent", "multiprocessing.api"):
        logging.getLogger(f"torch.distributed.elastic.{name}").setLevel(logging.CRITICAL)  # what ends it is told below
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // how.procs_per_node)))
    os.environ[OWN_STORE] = "1"
    try:
        failures = run_agent(how, command, name=how.name if how.head else uuid.uuid4().hex)
    except RendezvousClosedError as error:
        raise HoneError(
            "another machine has ended this training", fix="See what it said.", code="launch.ended-elsewhere"
        ) from error
    except RendezvousError as error:
        raise HoneError(
            f"the machines did not meet at {how.endpoint}: {error.__cause__ or error}",
            expected=f"{how.nodes[0]} to {how.nodes[1]} machines with the same command",
            fix="Give it on each of them, and name a --head that all of them reach, through a port that is open.",
            code="launch.not-met",
        ) from error
    except SignalException as error:
        if error.sigval in (signal.SIGINT, signal.SIGTERM):
            raise KeyboardInterrupt from error
        raise HoneError(f"it was ended by {error.sigval.name}", code="launch.killed") from error
    if not failures:
        return 0
    number = min(failures, key=lambda one: (failures[one].exitcode not in FINAL, failures[one].timestamp))
    failure = failures[number]
    if failure.exitcode > 0:
        return int(failure.exitcode)  # it has said why
    raise HoneError(
        f"process {number} was ended by {failure.signal_name()}, and the others with it",
        fix="The same command goes on from the last checkpoint; --max-restarts N starts them again up to N times.",
        code="launch.killed",
    )


def of_hone(arguments: Sequence[str]) -> list[str]:
    """A command of hone as a program and its arguments."""
    return [sys.executable, "-m", "hone", *arguments]

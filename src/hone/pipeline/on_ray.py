"""`OnRay`: one command of hone as the workers of a Ray cluster, which starts them and sets what each is told."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hone.core.errors import FINAL, HoneError, MissingExtra, RecipeError
from hone.pipeline.launch import address_of, require_head
from hone.pipeline.ray_worker import Ended, Watch, Watched, work

PORT = 6379  # Ray's own
REACH_SECONDS = 10
MEETING_SECONDS = 900  # in which the cluster has room for the fewest workers
LOOK_SECONDS = 0.5
STORE_BYTES = 80 << 20  # of the object store of a cluster of this machine: nothing large goes through it
GOES_ON = "The same command goes on from the last checkpoint; --max-restarts N starts all of them again up to N times."


@dataclass(frozen=True)
class OnRay:
    """Workers of a Ray cluster that run a command together.

    Attributes:
        workers: How many, at least and at most: with fewer than the most it goes on when some are lost, and takes new
            ones when the cluster has room for them.
        per_worker: What each takes of the cluster, by Ray's names: ``CPU``, ``GPU``, ``memory`` in bytes, others.
        head: ``HOST:PORT`` of the cluster's head; empty for a cluster of this machine that ends with the command.
        max_restarts: How often all are started again when one was lost or has failed, as in
            `hone.pipeline.launch.Launch`.
    """

    workers: tuple[int, int]
    per_worker: Mapping[str, float] = field(default_factory=lambda: {"CPU": 1.0})
    head: str = ""
    max_restarts: int = 0

    def __post_init__(self) -> None:
        require_head(self.head, port=PORT)

    @property
    def address(self) -> str:
        """Of the cluster, as Ray has it."""
        return address_of(self.head, port=PORT, alone="local")

    def lines(self, arguments: Sequence[str]) -> list[str]:
        """What is done where."""
        low, high = self.workers
        each = " ".join(f"{name}={amount:g}" for name, amount in self.per_worker.items())
        return [
            f"cluster: {self.address}",
            f"workers: {high if low == high else f'{low}:{high}'}, {each} each",
            f"restarts: {self.max_restarts}",
            f"each: {shlex.join(['hone', *arguments])}",
        ]


def parse_resources(given: Sequence[str]) -> dict[str, float]:
    """``GPU=1`` and the like, one CPU where none is named.

    Raises:
        RecipeError: It is no name and number.
    """
    found = {"CPU": 1.0}
    for words in given:
        name, _, amount = words.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:
            found[name] = -1.0
        if not name or not 0 <= found[name] < float("inf"):
            raise RecipeError(
                f"--per-worker {words!r}", expected="NAME=AMOUNT, such as GPU=1", code="launch.per-worker"
            )
    return found


def launch_on_ray(
    how: OnRay, arguments: Sequence[str], *, command: Callable[[list[str]], int], say: Callable[[str], None]
) -> Ended:
    """Run a command in workers of a Ray cluster until all of them have ended.

    Args:
        command: Takes ``arguments`` and returns an exit code; an importable function, called in each worker.
        say: Told what the workers say.

    Returns:
        The exit code they ended with, and what the first of them printed.

    Raises:
        MissingExtra: Ray is not installed.
        RecipeError: There are more workers than the machine has room for.
        HoneError: The cluster cannot be reached, has no room for the workers, or one was lost once more than
            `OnRay.max_restarts`.
        KeyboardInterrupt: It was interrupted, by Ctrl-C or SIGTERM; so were they, and what trained has left its
            checkpoint.
    """
    with _joined(how):
        _require_room(how, say)
        for left in range(how.max_restarts, -1, -1):
            try:
                ended = _once(how, arguments, command=command, say=say)
            except HoneError as error:
                if error.code != "launch.killed" or not left:
                    raise
                say(f"{error.found}; all start again from the last checkpoint\n")
                continue
            if ended.code in (0, *FINAL) or not left:
                return ended
            say("all start again from the last checkpoint\n")
    raise AssertionError("the last start returns or raises")


@contextlib.contextmanager
def _joined(how: OnRay) -> Iterator[None]:
    """Within it this process is the driver of a cluster; one of this machine ends with it."""
    local = how.address == "local"
    if not local:
        _require_reached(how.address)
    _settle(local=local)
    try:
        import ray
        import ray.train.torch  # with all that it needs
    except ImportError as error:
        raise MissingExtra(str(error.name), extra="ray", needed_for="hone launch --on ray") from error
    shown: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if local:
        shown |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    heard = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=how.address, **shown)
    except (OSError, RuntimeError, ValueError) as error:
        raise HoneError(
            f"Ray does not take part in {how.address}: {error}",
            expected="a cluster with the same versions of Ray and Python",
            code="launch.not-met",
        ) from error
    signal.signal(signal.SIGTERM, heard)  # Ray has put its own in its place
    try:
        yield
    finally:
        ray.shutdown()


def _settle(*, local: bool) -> None:
    """Tell Ray, by its environment, to report to nobody; and a cluster of this machine to let in nobody else."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")  # it would say everything twice
    if local:
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # no machine that could be taken away
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of its own; else Ray keeps one at home


def _require_reached(address: str) -> None:
    """Raise `HoneError` unless something answers at ``address``; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise HoneError(
            f"no Ray cluster answers at {address}: {error}",
            expected="the head of a cluster, as `ray start --head` names it",
            fix="Name it with --head HOST:PORT, or leave --head out for a cluster of this machine.",
            code="launch.not-met",
        ) from error


def room(nodes: Sequence[Mapping[str, Any]], per_worker: Mapping[str, float]) -> int:
    """How many workers the machines of a cluster, as `ray.nodes` tells them, have room for."""
    wanted = {name: amount for name, amount in per_worker.items() if amount > 0}
    return sum(
        min((int(node["Resources"].get(name, 0) / amount + 1e-9) for name, amount in wanted.items()), default=1 << 30)
        for node in nodes
        if node["Alive"]
    )


def _require_room(how: OnRay, say: Callable[[str], None]) -> None:
    """Raise where a cluster of this machine, which does not grow, has no room for the fewest workers."""
    import ray

    found, fewest = room(ray.nodes(), how.per_worker), how.workers[0]
    if found >= fewest:
        return
    if how.address == "local":
        raise RecipeError(
            f"{fewest} workers, and a machine with room for {found}",
            expected=f"at most {found}",
            fix="Lower --workers or what each takes (--per-worker CPU=0.5), or name a cluster with --head.",
            code="launch.workers",
        )
    say(f"the cluster has room for {found} of {fewest} workers; waiting for more\n")


def _once(
    how: OnRay, arguments: Sequence[str], *, command: Callable[[list[str]], int], say: Callable[[str], None]
) -> Ended:
    """Start the workers once, and follow them until they have ended."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from hone.train.stopping import asked_to_stop

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    watch = ray.remote(num_cpus=0)(Watch).options(scheduling_strategy=here).remote()  # where no worker's loss ends it
    told = {"command": command, "arguments": list(arguments), "folder": str(Path.cwd()), "watch": watch}
    fit = _Fit(how, told)
    fit.start()
    with asked_to_stop() as asked:
        seen = _follow(fit, watch, asked=asked, say=say)
        stopped = asked()
    if stopped and fit.failure is not None and not any(one.code in FINAL for one in seen.ended.values()):
        raise KeyboardInterrupt
    if fit.failure is not None and not fit.failed and not any(one.code for one in seen.ended.values()):
        raise HoneError(f"Ray has given up: {fit.failure}", fix=GOES_ON, code="launch.killed") from fit.failure
    return outcome(seen.ended, fit.failed)


def outcome(ends: Mapping[int, Ended], failed: Collection[int]) -> Ended:
    """How processes have ended together.

    Args:
        ends: What they said of their ends, by their numbers.
        failed: Those that Ray says have failed.

    Raises:
        HoneError: One of them was lost: it said nothing, or that all was well.
    """
    each = [ends[number] for number in sorted(ends)]
    final = [one for one in each if one.code in FINAL]
    if final:
        return final[0]
    lost = sorted(number for number in failed if number not in ends or not ends[number].code)
    if lost:
        raise HoneError(
            f"process {lost[0]} was lost, and the others with it",
            fix=GOES_ON,
            code="launch.killed",
        )
    return next((one for one in each if one.code), each[0])  # it has said why


class _Fit(threading.Thread):
    """Ray's own training, in a thread, so that Ray leaves Ctrl-C to this process.

    Attributes:
        failure: What ended it, where it did not go well.
        failed: The numbers of the processes that did not end well.
    """

    def __init__(self, how: OnRay, told: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self._how, self._told = how, told
        self.failure: BaseException | None = None
        self.failed: list[int] = []

    def run(self) -> None:
        from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig, WorkerGroupError
        from ray.train.torch import TorchConfig, TorchTrainer

        (low, high), gpu = self._how.workers, self._how.per_worker.get("GPU", 0) > 0
        try:
            TorchTrainer(
                work,
                train_loop_config=self._told,
                torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpu else "gloo"),
                scaling_config=ScalingConfig(
                    num_workers=high if low == high else (low, high),
                    use_gpu=gpu,
                    resources_per_worker=dict(self._how.per_worker),
                ),
                run_config=RunConfig(
                    name="launch",
                    storage_path=str(Path(tempfile.gettempdir()) / f"hone-ray-{os.getuid()}"),  # checkpoints are hone's
                    failure_config=FailureConfig(max_failures=0),  # hone looks at exit codes first
                    logging_config=LoggingConfig(log_level="ERROR"),
                ),
            ).fit()
        except BaseException as error:  # told where it is waited for
            self.failure = error
            self.failed = list(error.worker_failures) if isinstance(error, WorkerGroupError) else []


def _follow(fit: _Fit, watch: Any, *, asked: Callable[[], bool], say: Callable[[str], None]) -> Watched:
    """Pass on what workers say, and to them the wish to stop, until they have ended."""
    import ray

    until, passed_on = time.monotonic() + MEETING_SECONDS, False
    while True:
        runs = fit.is_alive()
        fit.join(LOOK_SECONDS)
        seen: Watched = ray.get(watch.seen.remote())
        for words in seen.said:
            say(words)
        if not runs:
            return seen
        if asked() and not passed_on:
            if not seen.begun:
                raise KeyboardInterrupt
            ray.get(watch.stop.remote())
            passed_on = True
        if not seen.begun and time.monotonic() > until:
            raise HoneError(
                f"no worker has begun within {MEETING_SECONDS // 60} minutes",
                expected="room for the fewest workers in the cluster",
                fix="See `ray status`; lower --workers or --per-worker, or start more machines.",
                code="launch.not-met",
            )

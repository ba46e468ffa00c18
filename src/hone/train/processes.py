"""Several processes that train one model: who takes which batches, and how what each finds is put together.

Every process has the whole model, or where weights are divided (`hone.train.sharded`) a part of it, and sees the whole
order of rows. Of each optimizer step's batches it takes its share; gradients and losses are added up over all of them,
so that a step is what it would be in one process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from hone.core.errors import DeviceError, HoneError
from hone.core.processes import ALONE, Place

BUCKET_BYTES = 64 << 20  # of gradients that are added up together
SHARED = "TORCHELASTIC_USE_AGENT_STORE"  # where torchrun says whether all starts meet in one store
STARTS = "TORCHELASTIC_RESTART_COUNT"  # and how often it has started all processes again
PATIENCE = timedelta(days=7)  # with which others wait while the first measures or writes: a lost one is known at once
Value = TypeVar("Value")


class Released(Exception):
    """What is left of a stage the first process does: the share of this one is done."""


class Processes:
    """This process among those of a training. In one process nothing is sent anywhere.

    Attributes:
        place: Where it stands.
        lane, lanes: The number of its lane, and how many there are: processes of a lane take the same batches.

    Args:
        place: Of several, `join` must have been called.
        abreast: Processes of a lane.
    """

    def __init__(self, place: Place = ALONE, *, abreast: int = 1) -> None:
        self.place, self._abreast = place, abreast
        self.lane, self.lanes = place.number // abreast, place.count // abreast

    @property
    def several(self) -> bool:
        return self.place.count > 1

    @property
    def first(self) -> bool:
        return self.place.first

    def shares(self, tokens: Sequence[int]) -> list[list[int]]:
        """The numbers of the batches that each lane takes of a step whose batches have so many tokens: the heaviest go
        first, each to whoever has the fewest tokens until then. All are taken, each by one lane."""
        loads = np.zeros(self.lanes, dtype=np.int64)
        taken: list[list[int]] = [[] for _ in range(self.lanes)]
        for batch in sorted(range(len(tokens)), key=lambda batch: (-tokens[batch], batch)):
            taker = int(loads.argmin())
            loads[taker] += max(1, tokens[batch])
            taken[taker].append(batch)
        return [sorted(one) for one in taken]

    def sums(self, *values: float) -> list[float]:
        """Each value's sum over all processes."""
        if not self.several:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64)
        with together():
            dist.all_reduce(found)
        every: list[float] = found.tolist()
        return every

    def totals(self, *values: float) -> list[float]:
        """Each value's sum over all lanes; within one all have the same."""
        return [value / self._abreast for value in self.sums(*values)]

    def any(self, said: bool) -> bool:
        """Whether any process says so."""
        return self.sums(float(said))[0] > 0

    def told(self, find: Callable[[], Value]) -> Value:
        """What the first process finds, plain values as JSON has them, told to all."""
        if not self.several:
            return find()
        words = json.dumps(find()).encode() if self.first else b""
        length = torch.tensor([len(words)])
        with together():
            dist.broadcast(length, 0, group=_waiting())
            text = torch.frombuffer(bytearray(words or bytes(int(length))), dtype=torch.uint8)
            dist.broadcast(text, 0, group=_waiting())
        found: Value = json.loads(text.numpy().tobytes())
        return found

    def wait(self) -> None:
        """Until the first process has come here, too."""
        self.told(lambda: None)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Within it the first process works before the others, which then find in the cache what it left there."""
        if self.several and not self.first:
            self.wait()
        yield
        if self.several and self.first:
            self.wait()

    def require_same(self, value: str, *, what: str, fix: str) -> None:
        """Raise unless all processes have the same ``value``, the first one's.

        Raises:
            HoneError: Theirs differ; in every process.
        """
        expected = self.told(lambda: value)
        differ = self.sums(*(float(value != expected and self.place.number == i) for i in range(self.place.count)))
        if any(differ):
            raise HoneError(
                f"{what} of process {differ.index(1.0)} and of process 0 differ (here {value}, there {expected})",
                expected="the same in all of them",
                fix=fix,
                code="launch.differs",
            )

    def alike(self, tensors: Sequence[Tensor]) -> None:
        """Make the values of ``tensors`` those of the first process."""
        if self.several:
            with together():
                for tensor in tensors:
                    dist.broadcast(tensor.detach(), 0)

    @torch.no_grad()
    def add(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up the gradients of ``parameters``, the same ones in every process, over all processes. One that has a
        gradient in any of them then has one in all."""
        if not self.several:
            return
        had = self.sums(*(float(parameter.grad is not None) for parameter in parameters))
        bucket: list[Tensor] = []
        for parameter, count in zip(parameters, had, strict=True):
            if not count:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if bucket and (_bytes(bucket) >= BUCKET_BYTES or bucket[0].dtype != parameter.grad.dtype):
                _add(bucket)
                bucket = []
            bucket.append(parameter.grad)
        if bucket:
            _add(bucket)

    @torch.no_grad()
    def add_rows(self, rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The same of rows of a table: those that any process read, ascending, int64 [n], and their gradients added up
        [n, width].

        Args:
            rows: Distinct rows that this process read, int64 [m]; there may be none.
            gradient: Float32 [m, width].
        """
        counts = [int(n) for n in self.sums(*(len(rows) * (self.place.number == i) for i in range(self.place.count)))]
        if not any(counts):  # the table does not learn yet: nobody's rows are asked for
            return rows, gradient
        padded = torch.full((max(counts),), -1, dtype=torch.int64)
        padded[: len(rows)] = rows
        each = [torch.empty_like(padded) for _ in counts]
        with together():
            dist.all_gather(each, padded)
        every = torch.unique(torch.cat(each))
        every = every[every >= 0]
        total = torch.zeros(len(every), gradient.shape[1])
        total[torch.searchsorted(every, rows)] = gradient
        with together():
            dist.all_reduce(total)
        return every, total


ONE = Processes()  # of a training that one process does


def join(place: Place, device: torch.device) -> None:
    """Join the group of processes, once in the life of one, or take the one that whoever started this process made.

    Raises:
        DeviceError: The device is none that several processes can share, or the machine has fewer of them than it has
            processes.
    """
    if place.count == 1:
        return
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(
            f"{place.count} processes on the device {device.type!r}", expected="cpu or cuda", code="launch.device"
        )
    if dist.is_initialized():
        return
    if device.type == "cuda":
        if place.local >= torch.cuda.device_count():
            raise DeviceError(
                f"process {place.local + 1} of a machine with {torch.cuda.device_count()} GPUs",
                expected="at most as many processes as GPUs",
                fix="Set --procs-per-node, or device: cpu.",
                code="launch.device",
            )
        torch.cuda.set_device(place.local)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with together():
        store, _, _ = next(rendezvous("env://", place.number, place.count))
        if os.environ.get(SHARED) == str(True):  # what earlier ones left in it is not for these
            store = dist.PrefixStore(f"start-{os.environ.get(STARTS, '0')}", store)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=place.number, world_size=place.count)


_groups: list[dist.ProcessGroup] = []


def _waiting() -> dist.ProcessGroup:
    """The group in which others wait for the first for as long as that takes."""
    if not _groups:
        _groups.append(dist.new_group(backend="gloo", timeout=PATIENCE))
    return _groups[0]


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _add(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    with together():
        dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(to) for part, to in zip(parts, gradients, strict=True)])


@contextmanager
def together() -> Iterator[None]:
    """Within it processes talk to one another; one that is gone is said to be.

    Raises:
        HoneError: Another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        raise _lost(error) from error


@contextmanager
def talking() -> Iterator[None]:
    """The same of work within which processes also talk; whatever else goes wrong there is left as it is.

    Raises:
        HoneError: Another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise _lost(error) from error


def _lost(error: RuntimeError) -> HoneError:
    return HoneError(
        f"another process of this training has ended: {str(error).splitlines()[0]}",
        expected="all of them until the end",
        fix="See what it said. The same command goes on from the last checkpoint; `hone launch --max-restarts N` "
        "does so by itself.",
        code="train.process-lost",
    )

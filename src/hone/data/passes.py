"""`Passes`: which rows an epoch has where some come oftener than others: a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.data.order import Order

IntArray = NDArray[np.int64]
ORDER, TURNS = 0x0DE5, 0xD4A5  # set the seeds of orders within a group, and of whose turn it is, apart from others'


class Passes:
    """Groups of rows, each an endless sequence of passes over its own, every pass in an order of its own. An epoch
    takes so many of each group as its quota says, the next epoch goes on from there: over any number of epochs no row
    of a group comes oftener than another by more than one. Within an epoch all orders of the groups are equally likely.

    Args:
        groups: The rows of each, int64.
        quotas: How many of each an epoch takes; nothing of an empty one.
        seed: Decides all orders.
        buffer: How many rows of a group are shuffled together, see `Order`; None: all.
    """

    def __init__(
        self, groups: Sequence[IntArray], quotas: Sequence[int], *, seed: int, buffer: int | None = None
    ) -> None:
        self._groups, self._seed, self._buffer = list(groups), seed, buffer
        self._quotas = np.array([quota if len(group) else 0 for group, quota in zip(groups, quotas, strict=True)])

    def __len__(self) -> int:
        """How many rows an epoch has: every one as many."""
        return int(self._quotas.sum())

    @property
    def decided(self) -> Mapping[str, Any]:
        """What decides the rows of every epoch, seed and groups aside: plain JSON."""
        sizes = [len(group) for group in self._groups]
        return {"rows": sizes, "quotas": self._quotas.tolist(), "buffer": self._buffer}

    def epoch(self, number: int) -> IntArray:
        """The rows of an epoch, from 0, in their order: int64 [rows of an epoch]."""
        rows = np.concatenate([self._of(group, number) for group in range(len(self._groups))])
        turns = np.repeat(np.arange(len(self._groups)), self._quotas)
        turns = np.random.default_rng([self._seed, TURNS, number]).permutation(turns)
        out = np.empty(len(rows), dtype=np.int64)
        out[np.argsort(turns, kind="stable")] = rows
        return out

    def _of(self, group: int, epoch: int) -> IntArray:
        """What an epoch takes of a group, in the group's own order."""
        rows, quota = self._groups[group], int(self._quotas[group])
        parts, at, end = [np.zeros(0, dtype=np.int64)], epoch * quota, (epoch + 1) * quota
        while at < end:
            times, begin = divmod(at, len(rows))
            some = min(len(rows) - begin, end - at)
            order = Order(len(rows), buffer=self._buffer or len(rows), seed=[self._seed, ORDER, group, times])
            parts.append(rows[order.places(begin, begin + some)])
            at += some
        return np.concatenate(parts)

    def drawn(self, count: int, *, rng: np.random.Generator) -> IntArray:
        """So many rows, each drawn by itself as likely as an epoch has it: int64 [count]."""
        found = rng.random(count)
        groups = rng.choice(len(self._groups), size=count, p=self._quotas / len(self))
        sizes = np.array([len(rows) for rows in self._groups])
        within = (found * sizes[groups]).astype(np.int64)
        return np.array([self._groups[group][at] for group, at in zip(groups, within, strict=True)], dtype=np.int64)

"""Which rows make which batch: shuffled by a seed, rows of like length together, a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
POOL_BATCHES = 64  # batches' worth of shuffled rows that are sorted together
TOKEN_POOL_BATCHES = 256  # the same of batches by tokens, which are to hold next to no padding

Strategy = Literal["group_by_length", "random"]


def epoch_batches(
    lengths: IntArray, *, size: int, seed: int, epoch: int, strategy: Strategy, tokens: int | None = None
) -> list[IntArray]:
    """Batches of row indices of one epoch; every row occurs once.

    ``group_by_length`` sorts pools of shuffled rows by length, cuts them into batches and shuffles the batches, so a
    batch holds like lengths while its rows, and the order of batches, stay random.

    Args:
        size: Rows of a batch.
        tokens: Tokens of a batch in place of rows; to within a row every batch has as many, and all epochs have as
            many batches.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    count = batches_of(lengths, size=size, tokens=tokens)
    if strategy == "group_by_length":
        pool = size * POOL_BATCHES if tokens is None else -(-len(lengths) // count) * TOKEN_POOL_BATCHES
        parts = [order[at : at + pool] for at in range(0, len(order), pool)]
        parts = [part[np.argsort(-lengths[part], kind="stable")] for part in parts]
        if tokens is not None:  # a batch may lie across two pools: let them meet where they are alike
            parts = [part[::-1] if i % 2 else part for i, part in enumerate(parts)]
        order = np.concatenate(parts)
    cuts = np.arange(size, len(order), size) if tokens is None else _by_tokens(lengths[order], count)
    batches = np.split(order, cuts)
    if strategy == "group_by_length":
        rng.shuffle(batches)
    return batches


def batches_of(lengths: IntArray, *, size: int, tokens: int | None) -> int:
    """How many batches an epoch has: every one, whatever its order."""
    if tokens is None:
        return -(-len(lengths) // size)
    return min(len(lengths), max(1, round(int(lengths.sum()) / tokens)))


def _by_tokens(lengths: IntArray, count: int) -> IntArray:
    """Where to cut rows of these lengths into ``count`` parts of about equal tokens, none of them empty."""
    ends = np.cumsum(lengths)
    cuts = 1 + np.searchsorted(ends, ends[-1] * np.arange(1, count) / count - lengths.mean() / 2)
    steps = np.arange(1, count)
    cuts = np.maximum.accumulate(np.maximum(cuts, steps) - steps) + steps  # each at least one after the one before
    within: IntArray = np.minimum(cuts, len(lengths) - count + steps)
    return within


def step_batches(batches: list[IntArray], *, accumulate: int) -> Iterator[list[IntArray]]:
    """The batches of each optimizer step; the last step of an epoch may have fewer."""
    for at in range(0, len(batches), accumulate):
        yield batches[at : at + accumulate]

"""Which rows make which batch: shuffled by a seed, rows of like length together, a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from hone.tasks.rows import IntArray

POOL_BATCHES = 64  # batches' worth of shuffled rows that are sorted together


def epoch_batches(
    lengths: IntArray, *, size: int, seed: int, epoch: int, strategy: Literal["group_by_length", "random"]
) -> list[IntArray]:
    """Batches of row indices of one epoch; every row occurs once.

    ``group_by_length`` sorts pools of shuffled rows by length, cuts them into batches and shuffles the batches, so a
    batch holds like lengths while its rows, and the order of batches, stay random.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    if strategy == "group_by_length":
        pool = size * POOL_BATCHES
        parts = [order[at : at + pool] for at in range(0, len(order), pool)]
        order = np.concatenate([part[np.argsort(-lengths[part], kind="stable")] for part in parts])
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    if strategy == "group_by_length":
        rng.shuffle(batches)
    return batches


def step_batches(batches: list[IntArray], *, accumulate: int) -> Iterator[list[IntArray]]:
    """The batches of each optimizer step; the last step of an epoch may have fewer."""
    for at in range(0, len(batches), accumulate):
        yield batches[at : at + accumulate]

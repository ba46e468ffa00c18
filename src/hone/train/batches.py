"""Which rows make which batch: shuffled by a seed, rows of like length together, a function of seed and epoch alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
POOL_BATCHES = 64  # batches' worth of shuffled rows that are sorted together
NEIGHBORS = 16  # steps on either side that a row may go to
TOKEN_POOL_BATCHES = 256  # the same of batches by tokens, which are to hold next to no padding

Strategy = Literal["group_by_length", "random"]


def epoch_batches(
    lengths: IntArray,
    *,
    size: int,
    seed: int,
    epoch: int,
    strategy: Strategy,
    tokens: int | None = None,
    order: IntArray | None = None,
    count: int | None = None,
) -> list[IntArray]:
    """Batches of row indices of one epoch.

    ``group_by_length`` sorts pools of shuffled rows by length, cuts them into batches and shuffles the batches, so a
    batch holds like lengths while its rows, and the order of batches, stay random. Where a row comes several times,
    pools are no larger than that it comes about once in each: it is learned in several steps and not in one.

    Args:
        size: Rows of a batch.
        tokens: Tokens of a batch in place of rows; to within a row every batch has as many, and all epochs have as
            many batches.
        order: The rows of this epoch in their order, in which batches then stay but for the nearest; None: every row
            once, in any order.
        count: How many batches an epoch has, where it is cut by tokens and its rows are not those of others; None: as
            many as these rows make.
    """
    rng = np.random.default_rng([seed, epoch])
    near = len(lengths) if order is None else POOL_BATCHES if tokens is None else TOKEN_POOL_BATCHES
    order = rng.permutation(len(lengths)) if order is None else order
    count = count or batches_of(lengths[order], size=size, tokens=tokens)
    if strategy == "group_by_length":
        pool = size * POOL_BATCHES if tokens is None else -(-len(order) // count) * TOKEN_POOL_BATCHES
        often = int(np.bincount(order).max(initial=1))  # rows that come several times would stand side by side
        pool = min(pool, max(size, -(-len(order) // often))) if often > 1 else pool
        parts = [order[at : at + pool] for at in range(0, len(order), pool)]
        parts = [part[np.argsort(-lengths[part], kind="stable")] for part in parts]
        if tokens is not None:  # a batch may lie across two pools: let them meet where they are alike
            parts = [part[::-1] if i % 2 else part for i, part in enumerate(parts)]
        order = np.concatenate(parts)
    cuts = np.arange(size, len(order), size) if tokens is None else _by_tokens(lengths[order], count)
    batches = np.split(order, cuts)
    if strategy == "group_by_length":
        for at in range(0, len(batches), near):
            part = batches[at : at + near]
            rng.shuffle(part)
            batches[at : at + near] = part
    return batches


def distinct(batches: Sequence[IntArray], once: Callable[[int], Sequence[int]], *, together: int) -> list[IntArray]:
    """``batches`` with rows exchanged between neighbors, so that in no step does a name stand in two rows, where that
    can be had by exchanges with the nearest `NEIGHBORS` steps. Sizes stay.

    Args:
        once: The names of a row.
        together: Batches of a step.
    """
    steps = [np.concatenate(batches[at : at + together]) for at in range(0, len(batches), together)]
    names = {int(row): frozenset(once(int(row))) for step in steps for row in step}
    counts = [Counter(name for row in step.tolist() for name in names[row]) for step in steps]
    for here, step in enumerate(steps):
        for place, row in enumerate(step.tolist()):
            if all(counts[here][name] == 1 for name in names[row]):
                continue
            found = _exchange(row, here, steps=steps, names=names, counts=counts)
            if found is not None:
                there, other = found
                for at, into, gone in ((here, steps[there][other], row), (there, row, steps[there][other])):
                    counts[at].subtract(names[int(gone)])
                    counts[at].update(names[int(into)])
                step[place], steps[there][other] = steps[there][other], row
    flat = np.concatenate(steps)
    return np.split(flat, np.cumsum([len(batch) for batch in batches])[:-1])


def _exchange(
    row: int,
    here: int,
    *,
    steps: Sequence[IntArray],
    names: Mapping[int, frozenset[int]],
    counts: Sequence[Counter[int]],
) -> tuple[int, int] | None:
    """The nearest step, and the place there, of a row that can change places with ``row`` so that both steps then have
    the names of either once; None where there is none."""
    left = counts[here] - Counter(names[row])
    twice = [name for name in names[row] if counts[here][name] > 1]  # whose other row stays here
    around = [at for far in range(1, NEIGHBORS + 1) for at in (here + far, here - far) if 0 <= at < len(steps)]
    for there in around:
        if any(counts[there][name] for name in twice):  # who gave it up would bring it here
            continue
        for place, other in enumerate(steps[there].tolist()):
            fits = all(counts[there][name] - (name in names[other]) == 0 for name in names[row])
            if fits and not any(left[name] for name in names[other]):
                return there, place
    return None


def batches_of(lengths: IntArray, *, size: int, tokens: int | None) -> int:
    """How many batches an epoch has: every one, whatever its order."""
    if tokens is None:
        return -(-len(lengths) // size)
    return min(len(lengths), max(1, round(int(lengths.sum()) / tokens)))


def _by_tokens(lengths: IntArray, count: int) -> IntArray:
    """Where to cut rows of these lengths into ``count`` parts of about equal tokens, none of them empty."""
    ends = np.cumsum(lengths)
    cuts = 1 + np.searchsorted(ends, float(ends[-1]) * np.arange(1, count) / count - lengths.mean() / 2)
    steps = np.arange(1, count)
    cuts = np.maximum.accumulate(np.maximum(cuts, steps) - steps) + steps  # each at least one after the one before
    within: IntArray = np.minimum(cuts, len(lengths) - count + steps)
    return within


def step_batches(batches: list[IntArray], *, accumulate: int) -> Iterator[list[IntArray]]:
    """The batches of each optimizer step; the last step of an epoch may have fewer."""
    for at in range(0, len(batches), accumulate):
        yield batches[at : at + accumulate]

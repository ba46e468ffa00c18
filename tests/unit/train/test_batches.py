"""Batches of an epoch: every row once, a function of seed and epoch, rows of like length together."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from hone.tasks.rows import IntArray
from hone.train.batches import POOL_BATCHES, epoch_batches, step_batches

Strategy = Literal["group_by_length", "random"]
STRATEGIES: list[Strategy] = ["group_by_length", "random"]


def batches(
    lengths: IntArray, *, size: int = 8, seed: int = 1, epoch: int = 0, strategy: Strategy = "group_by_length"
) -> list[IntArray]:
    return epoch_batches(lengths, size=size, seed=seed, epoch=epoch, strategy=strategy)


def lengths_of(rows: int) -> IntArray:
    return np.random.default_rng(rows).integers(3, 60, rows)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 8 * POOL_BATCHES, 8 * POOL_BATCHES * 2 + 13])
def test_every_row_occurs_once(rows: int, strategy: Strategy) -> None:
    found = np.concatenate(batches(lengths_of(rows), strategy=strategy))
    assert sorted(found.tolist()) == list(range(rows))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_batch_at_most_is_smaller_than_asked_for(strategy: Strategy) -> None:
    sizes = sorted(len(batch) for batch in batches(lengths_of(101), strategy=strategy))
    assert sizes == [5, *[8] * 12]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batches_are_a_function_of_seed_and_epoch(strategy: Strategy) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in batches(lengths_of(64), seed=seed, epoch=epoch, strategy=strategy)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2) != order(2, 1)


def test_grouping_sorts_a_pool_so_that_lengths_of_batches_do_not_overlap() -> None:
    lengths = lengths_of(8 * POOL_BATCHES)
    spans = sorted((int(lengths[batch].min()), int(lengths[batch].max())) for batch in batches(lengths))
    assert all(left[1] <= right[0] for left, right in zip(spans, spans[1:], strict=False))


def test_grouping_takes_batches_in_no_order_of_length() -> None:
    lengths = lengths_of(8 * POOL_BATCHES)
    longest = [int(lengths[batch].max()) for batch in batches(lengths)]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_grouping_leaves_the_company_of_equal_lengths_to_chance() -> None:
    same_length = np.full(64, 7)
    epochs = [{frozenset(batch.tolist()) for batch in batches(same_length, epoch=epoch)} for epoch in range(2)]
    assert epochs[0].isdisjoint(epochs[1])


def test_grouping_pads_far_less_than_chance() -> None:
    lengths = lengths_of(2000)

    def padded(strategy: Strategy) -> int:
        return sum(int(lengths[batch].max()) * len(batch) for batch in batches(lengths, strategy=strategy))

    tokens = int(lengths.sum())
    assert padded("group_by_length") - tokens < 0.1 * (padded("random") - tokens)


def test_an_optimizer_step_takes_as_many_batches_as_accumulate_and_the_last_what_is_left() -> None:
    made = batches(np.full(56, 5))
    steps = list(step_batches(made, accumulate=3))
    assert [len(step) for step in steps] == [3, 3, 1]
    assert [batch.tolist() for step in steps for batch in step] == [batch.tolist() for batch in made]

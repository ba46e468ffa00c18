"""Batches of an epoch: every row once, a function of seed and epoch, rows of like length together."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from hone.tasks.rows import IntArray
from hone.train.batches import POOL_BATCHES, batches_of, distinct, epoch_batches, step_batches

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


def test_a_row_that_comes_several_times_does_not_come_several_times_in_a_batch() -> None:
    lengths, order = np.arange(3, 67), np.tile(np.arange(64), 8)
    made = epoch_batches(lengths, size=8, seed=1, epoch=0, strategy="group_by_length", order=order)
    assert len(made) == 64
    assert all(len(np.unique(batch)) == 8 for batch in made)


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


def by_tokens(
    lengths: IntArray, tokens: int, *, epoch: int = 0, strategy: Strategy = "group_by_length"
) -> list[IntArray]:
    return epoch_batches(lengths, size=32, seed=1, epoch=epoch, strategy=strategy, tokens=tokens)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("rows", "tokens"), [(1, 5), (3, 1), (500, 1), (500, 10**9), (500, 256), (9000, 512)])
def test_batches_by_tokens_hold_every_row_once_and_are_as_many_each_epoch(
    rows: int, tokens: int, strategy: Strategy
) -> None:
    lengths = lengths_of(rows)
    for epoch in range(3):
        made = by_tokens(lengths, tokens, epoch=epoch, strategy=strategy)
        assert sorted(np.concatenate(made).tolist()) == list(range(rows))
        assert len(made) == batches_of(lengths, size=32, tokens=tokens)
        assert min(map(len, made)) > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batches_by_tokens_have_about_as_many_tokens(strategy: Strategy) -> None:
    lengths = lengths_of(4000)
    sums = [int(lengths[batch].sum()) for batch in by_tokens(lengths, 512, strategy=strategy)]
    assert max(abs(total - np.mean(sums)) for total in sums) <= lengths.max()
    assert np.mean(sums) == pytest.approx(512, rel=0.02)


def test_batches_of_more_tokens_than_a_product_of_integers_holds_are_alike() -> None:
    """As many tokens as an epoch over a very large corpus has, times its batches."""
    made = by_tokens(np.full(8, 1 << 59), 1 << 60)
    assert [len(batch) for batch in made] == [2, 2, 2, 2]


def test_less_than_three_in_a_hundred_tokens_of_batches_by_tokens_are_padding() -> None:
    """Lengths as short requests have them: log-normal, most between 8 and 30 tokens, some near a hundred."""
    lengths = np.random.default_rng(5).lognormal(2.6, 0.5, 10_000).astype(np.int64).clip(3, 100)
    made = by_tokens(lengths, 512)
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in made)
    assert 1 - lengths.sum() / padded < 0.03


def test_batches_by_tokens_keep_other_company_each_epoch() -> None:
    lengths = lengths_of(2000)
    first, second = ({frozenset(batch.tolist()) for batch in by_tokens(lengths, 256, epoch=e)} for e in range(2))
    assert first.isdisjoint(second)


def test_names_that_can_be_parted_stand_once_in_a_step() -> None:
    rng = np.random.default_rng(2)
    once = [[int(a), 1000 + i] for i, a in enumerate(rng.integers(0, 60, 200))]  # each of 60 names about 3 times
    batches = np.split(rng.permutation(200), range(8, 200, 8))
    parted = distinct(batches, once.__getitem__, together=2)
    assert [len(batch) for batch in parted] == [len(batch) for batch in batches]
    assert sorted(np.concatenate(parted)) == list(range(200))
    for at in range(0, len(parted), 2):
        names = [name for row in np.concatenate(parted[at : at + 2]) for name in once[row]]
        assert len(names) == len(set(names))


def test_batches_without_repeats_are_left_alone() -> None:
    batches = np.split(np.random.default_rng(1).permutation(30), [10, 20])
    parted = distinct(batches, lambda row: [row], together=1)
    assert all(np.array_equal(one, other) for one, other in zip(parted, batches, strict=True))


def test_names_that_stand_in_every_row_are_left_together() -> None:
    batches = np.split(np.arange(12), [4, 8])
    parted = distinct(batches, lambda row: [0], together=1)
    assert sorted(np.concatenate(parted)) == list(range(12))

"""What is hidden, by the distributions that the papers state: lengths of spans, what stands in place of hidden tokens,
and how much of a text is damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hone.core.settings import check_settings
from hone.tasks.masking import drawn_spans, span_words, stand_ins
from hone.tasks.objectives.rewriting import infilled_lengths
from hone.tasks.objectives.settings import MlmSettings

MASK, VOCABULARY = 3, 1_000_000


def far(counts: np.ndarray, shares: np.ndarray, total: int | None = None) -> float:
    """How many standard deviations the count farthest from its expectation, of ``total`` in all, lies from it."""
    total = int(counts.sum()) if total is None else total
    return float(np.max(np.abs(counts - total * shares) / np.sqrt(total * shares * (1 - shares))))


def test_lengths_of_spans_are_geometric_up_to_ten() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount([span_words(rng) for _ in range(20_000)], minlength=11)
    shares = 0.2 * 0.8 ** np.arange(10)
    shares /= shares.sum()  # renormalized: ten is no likelier than a geometric distribution has it beside nine
    assert counts[0] == 0
    assert len(counts) == 11
    assert far(counts[1:], shares) < 4.5
    assert float(shares @ np.arange(1, 11)) == pytest.approx(3.8, abs=0.01)  # as the paper says


def test_spans_are_whole_words_that_follow_one_another() -> None:
    words = np.repeat(np.arange(200), np.tile([1, 2, 3, 1], 50))[None]
    words[0, -3:] = -1
    for seed in range(20):
        found = drawn_spans(words, share=0.3, rng=np.random.default_rng(seed))[0]
        assert found[-3:].max() == -1
        for number in range(found.max() + 1):
            inside = np.unique(words[0][found == number])
            assert set(found[np.isin(words[0], inside)].tolist()) == {number}  # all tokens of a word
            outside = np.setdiff1d(np.arange(inside[0], inside[-1]), inside)
            assert all((found[words[0] == word] >= 0).all() for word in outside)  # but for what another span has
        assert 0 <= (found >= 0).sum() - round(0.3 * 347) < 3  # a word more at most


@pytest.mark.parametrize(("masked", "other"), [(0.8, 0.1), (0.5, 0.5), (1.0, 0.0), (0.0, 0.25)])
def test_stand_ins_have_the_shares_that_are_set(masked: float, other: float) -> None:
    gold = torch.full((20_000,), 7)
    found = stand_ins(
        gold, mask_id=MASK, vocab_size=VOCABULARY, rng=np.random.default_rng(1), masked=masked, other=other
    )
    counts = np.array([(found == MASK).sum(), ((found != MASK) & (found != 7)).sum(), (found == 7).sum()])
    shares = np.array([masked, other, 1 - masked - other])
    assert np.all(counts[shares == 0] == 0)
    deviation = np.sqrt(20_000 * shares * (1 - shares))
    assert np.all(np.abs(counts - 20_000 * shares) <= 4.5 * deviation)


def test_tokens_of_a_span_fare_alike_and_are_no_single_other_token() -> None:
    together = np.repeat(np.arange(2000), 3)
    gold = torch.arange(6000) + 10
    found = stand_ins(gold, mask_id=MASK, vocab_size=VOCABULARY, rng=np.random.default_rng(2), together=together)
    how = np.where(found == MASK, 0, np.where(found == gold, 2, 1)).reshape(2000, 3)
    assert (how == how[:, :1]).all()
    assert far(np.bincount(how[:, 0]), np.array([0.8, 0.1, 0.1])) < 4.5
    swapped = found.view(2000, 3)[torch.from_numpy(how[:, 0] == 1)]
    assert (swapped[:, 0] != swapped[:, 1]).float().mean() > 0.99


def test_shares_above_one_are_refused() -> None:
    settings, faults = check_settings(MlmSettings, {"mask_replace_prob": 0.9, "random_replace_prob": 0.2})
    assert settings is None
    assert "not 1.1" in str(faults[0])
    assert check_settings(MlmSettings, {"mask_replace_prob": 0.7, "random_replace_prob": 0.3})[0] is not None


@pytest.mark.parametrize("mean", [0.5, 3.0])
def test_lengths_of_infilled_spans_are_poisson(mean: float) -> None:
    lost = 30_000
    lengths = infilled_lengths(lost, mean=mean, most=10 * lost, rng=np.random.default_rng(3))
    assert lengths.sum() == lost
    most = int(lengths.max())
    shares = np.exp(-mean) * np.array([mean**k / math.factorial(k) for k in range(most + 1)])
    often = shares * len(lengths) > 20
    assert far(np.bincount(lengths)[often], shares[often], len(lengths)) < 4.5


def test_spans_of_no_tokens_find_no_room_before_those_that_have_some() -> None:
    assert infilled_lengths(5, mean=1e-30, most=5, rng=np.random.default_rng(0)).tolist() == [1] * 5
    assert len(infilled_lengths(5, mean=1e-9, most=8, rng=np.random.default_rng(0))) == 8

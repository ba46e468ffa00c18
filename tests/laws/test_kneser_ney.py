"""The n-gram model that networks are held against: its probabilities sum to 1 and are those of its paper's recursion,
token by token over dictionaries."""

from __future__ import annotations

import math
import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/generation"))

from kneser_ney import Counts, chosen  # noqa: E402

VOCABULARY = 60
BEGIN = -1
Texts = list[list[int]]
Ngrams = dict[tuple[int, ...], int]


def written(n: int, *, seed: int) -> Texts:
    """Texts, some of them empty, of tokens as unlike in frequency as words, each often followed by the next one."""
    draws = random.Random(seed)
    texts: Texts = []
    for _ in range(n):
        text = [BEGIN]
        for _ in range(draws.randrange(12)):
            following = draws.random() < 0.4
            text.append((text[-1] + 1) % 9 if following else int(draws.paretovariate(0.7)) % (VOCABULARY - 1))
        texts.append(text[1:])
    return texts


TRAIN, HELD_OUT = written(200, seed=0), written(40, seed=1)


def counted(texts: Texts, order: int) -> list[Ngrams]:
    """Counts of the n-grams of each order from 1, as Chen and Goodman adjust them."""
    raw: list[Ngrams] = [defaultdict(int) for _ in range(order)]
    for text in texts:
        marked = [BEGIN, *text]
        for end in range(2, len(marked) + 1):
            for n in range(1, min(order, end) + 1):
                raw[n - 1][tuple(marked[end - n : end])] += 1
    out = []
    for n in range(1, order + 1):
        if n == order:
            out.append(raw[n - 1])
            continue
        before = {ngram: {longer[0] for longer in raw[n] if longer[1:] == ngram} for ngram in raw[n - 1]}
        out.append({g: times if g[0] == BEGIN else len(before[g]) for g, times in raw[n - 1].items()})
    return out


def probability(counts: list[Ngrams], context: tuple[int, ...], token: int) -> float:
    """p(token | context) by the paper's recursion."""
    n = len(context) + 1
    lower = probability(counts, context[1:], token) if context else 1 / VOCABULARY
    follow = {ngram[-1]: times for ngram, times in counts[n - 1].items() if ngram[:-1] == context}
    if not follow:
        return lower
    of = [sum(times == i for times in counts[n - 1].values()) for i in range(5)]
    assert all(of[1:])  # or the paper's discounts are undefined
    share = of[1] / (of[1] + 2 * of[2])
    discount = {0: 0.0, **{i: max(0.0, i - (i + 1) * share * of[i + 1] / of[i]) for i in (1, 2, 3)}}
    total = sum(follow.values())
    given = sum(discount[min(times, 3)] for times in follow.values()) / total
    times = follow.get(token, 0)
    return (times - discount[min(times, 3)]) / total + given * lower


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_held_out_probabilities_are_those_of_the_recursion(order: int) -> None:
    model = Counts(TRAIN, vocabulary=VOCABULARY, order=4).model(order)
    counts = counted(TRAIN, order)
    for text, logs in zip(HELD_OUT[:8], model.log_probabilities(HELD_OUT[:8]), strict=True):
        marked = (BEGIN, *text)
        expected = [
            probability(counts, marked[max(0, at - order + 1) : at], marked[at]) for at in range(1, len(marked))
        ]
        assert np.exp(logs) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_sum_to_one_after_any_tokens(order: int) -> None:
    model = Counts(TRAIN, vocabulary=VOCABULARY, order=order).model(order)
    for context in ([], [0], [0, 1], [1, 2, 3, 4], [59, 59, 59, 59, 59], [3, 59, 0, 1], *HELD_OUT[:5]):
        following = model.following(context)
        assert following.sum() == pytest.approx(1)
        assert (following > 0).all()  # of tokens that were never seen too


@pytest.mark.parametrize("texts", [[[0]], [[0, 0, 0, 0]], [[], [1, 2]]])
def test_texts_too_small_for_discounts_sum_to_one_too(texts: Texts) -> None:
    model = Counts(texts, vocabulary=3, order=3).model(3)
    for context in ([], [0], [1, 2], [0, 0, 0]):
        assert model.following(context).sum() == pytest.approx(1)


def test_the_order_is_the_best_on_validation() -> None:
    model, found = chosen(Counts(TRAIN, vocabulary=VOCABULARY, order=5), HELD_OUT)
    assert set(found) == {1, 2, 3, 4, 5}
    assert len(model.levels) == min(found, key=lambda order: found[order]) > 1
    logs = np.concatenate(model.log_probabilities(HELD_OUT))
    assert math.exp(-logs.mean()) == pytest.approx(min(found.values()))
    assert [len(each) for each in model.log_probabilities(HELD_OUT)] == [len(text) for text in HELD_OUT]


@pytest.mark.parametrize(
    ("texts", "order", "message"),
    [([], 2, "no token"), ([[VOCABULARY]], 2, "0 to 59"), ([[-1]], 2, "0 to 59"), ([[0]], 0, "order")],
)
def test_what_cannot_be_counted_is_refused(texts: Texts, order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Counts(texts, vocabulary=VOCABULARY, order=order)


def test_only_orders_that_were_counted_have_a_model() -> None:
    with pytest.raises(ValueError, match="order must be 1 to 2"):
        Counts(TRAIN, vocabulary=VOCABULARY, order=2).model(3)

"""hone's measures equal scikit-learn's, seqeval's and scipy's on random input, legal and not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from hone.metrics.classification import accuracy, confusion, f1_averages, per_class
from hone.metrics.entities import averages, per_label, span_tally, spans, token_tally
from hone.metrics.intervals import wilson

KINDS = ("LOC", "MISC", "ORG", "a-b")
TAGS = ("O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI"))
PAIR = st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS))
TAGGED = st.lists(st.lists(PAIR, min_size=1, max_size=12), min_size=1, max_size=8)


def unzipped(texts: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return [[gold for gold, _ in text] for text in texts], [[said for _, said in text] for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_classification_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs).T
    counts = confusion(gold, predicted, 6)
    assert (counts == confusion_matrix(gold, predicted, labels=range(6))).all()
    expected = precision_recall_fscore_support(gold, predicted, labels=range(6), zero_division=0)
    for ours, theirs in zip(per_class(counts), expected, strict=True):
        assert ours == pytest.approx(theirs)
    for mean, average in zip(f1_averages(counts), ("macro", "micro", "weighted"), strict=True):
        assert mean == pytest.approx(f1_score(gold, predicted, average=average, zero_division=0))
    assert accuracy(counts) == pytest.approx((gold == predicted).mean())


@settings(max_examples=100, deadline=None)
@given(TAGGED)
def test_entities_equal_seqeval(texts: list[list[tuple[str, str]]]) -> None:
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as by_seqeval

    gold, predicted = unzipped(texts)
    for tags in gold + predicted:
        assert spans(tags) == [(kind, first, last + 1) for kind, first, last in get_entities(tags)]
    counts = span_tally(gold, predicted, KINDS).sum(axis=0)
    ours = averages(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        micro = by_seqeval(gold, predicted, average="micro", zero_division=0)
        macro = by_seqeval(gold, predicted, average="macro", zero_division=0)
        weighted = by_seqeval(gold, predicted, average="weighted", zero_division=0)
        each = by_seqeval(gold, predicted, average=None, zero_division=0)
    assert (ours["micro_precision"], ours["micro_recall"], ours["micro_f1"]) == pytest.approx(micro[:3])
    assert ours["weighted_f1"] == pytest.approx(weighted[2])
    seen = np.array([counts[i + 4] + counts[i + 8] > 0 for i in range(4)])
    if seen.any():
        assert ours["macro_f1"] == pytest.approx(macro[2])
        for mine, theirs in zip(per_label(counts), each, strict=True):
            assert mine[seen] == pytest.approx(theirs)


@settings(max_examples=60, deadline=None)
@given(TAGGED)
def test_the_token_table_equals_scikit_learn(texts: list[list[tuple[str, str]]]) -> None:
    gold, predicted = unzipped(texts)
    flat_gold, flat_said = sum(gold, []), sum(predicted, [])
    counts = token_tally(gold, predicted, TAGS).sum(axis=0)
    expected = precision_recall_fscore_support(flat_gold, flat_said, labels=TAGS, zero_division=0)
    for ours, theirs in zip(per_label(counts), expected, strict=True):
        assert ours == pytest.approx(theirs)
    for name in ("macro", "micro", "weighted"):
        theirs = f1_score(flat_gold, flat_said, average=name, zero_division=0)
        assert averages(counts)[f"{name}_f1"] == pytest.approx(theirs)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 7, 240, 100_000])
def test_wilson_equals_scipy(n: int, level: float) -> None:
    for successes in {0, 1, n // 3, n - 1, n}:
        theirs = binomtest(successes, n).proportion_ci(level, method="wilson")
        assert wilson(successes, n, level=level) == pytest.approx((theirs.low, theirs.high), abs=1e-9)

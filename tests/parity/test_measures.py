"""hone's measures equal scikit-learn's, seqeval's and scipy's on random input, legal and not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    multilabel_confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    root_mean_squared_error,
)

from hone.metrics import multi_label, regression
from hone.metrics.classification import accuracy, confusion, counted, f1_averages, per_class
from hone.metrics.entities import averages, per_label, span_tally, spans, token_tally
from hone.metrics.intervals import wilson

KINDS = ("LOC", "MISC", "ORG", "a-b")
TAGS = ("O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI"))
PAIR = st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS))
NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.integers(-10_000, 10_000).map(lambda whole: whole / 7))
LABEL = st.tuples(st.booleans(), st.booleans(), st.integers(0, 6))  # gold, predicted, score with many ties
LABELED = st.lists(st.lists(LABEL, min_size=3, max_size=3), min_size=1, max_size=40)
TAGGED = st.lists(st.lists(PAIR, min_size=1, max_size=12), min_size=1, max_size=8)


def unzipped(texts: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return [[gold for gold, _ in text] for text in texts], [[said for _, said in text] for text in texts]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_classification_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs).T
    assert (confusion(gold, predicted, 6) == confusion_matrix(gold, predicted, labels=range(6))).all()
    counts = counted(gold, predicted, 6)
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


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=60))
def test_regression_equals_scipy_and_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    gold, predicted = np.array(pairs).T
    absolute = regression.mean_absolute_error(gold, predicted)
    squared = regression.root_mean_squared_error(gold, predicted)
    assert absolute == pytest.approx(mean_absolute_error(gold, predicted))
    assert squared == pytest.approx(root_mean_squared_error(gold, predicted))
    line, order = regression.pearson(gold, predicted), regression.spearman(gold, predicted)
    if len(set(gold)) == 1 or len(set(predicted)) == 1:
        assert line is order is None
    else:
        assert line == pytest.approx(pearsonr(gold, predicted).statistic, abs=1e-12)
        assert order == pytest.approx(spearmanr(gold, predicted).statistic, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(LABELED)
def test_label_sets_equal_scikit_learn(rows: list[list[tuple[bool, bool, int]]]) -> None:
    table = np.array(rows)  # [examples, labels, 3]
    gold, predicted = table[..., 0].astype(bool), table[..., 1].astype(bool)
    hits, said, true = multi_label.counts(gold, predicted)
    theirs = multilabel_confusion_matrix(gold, predicted)
    assert (hits == theirs[:, 1, 1]).all()
    assert (said == theirs[:, :, 1].sum(axis=1)).all()
    assert (true == theirs[:, 1].sum(axis=1)).all()
    seen = np.flatnonzero(gold.any(axis=0) | predicted.any(axis=0))  # scikit-learn counts the others as 0
    for mean, average in zip(multi_label.f1_averages(hits, said, true), ("macro", "micro", "weighted"), strict=True):
        expected = f1_score(gold, predicted, labels=seen, average=average, zero_division=0) if len(seen) else 0
        assert mean == pytest.approx(expected)
    assert multi_label.exact_match(gold, predicted) == pytest.approx(accuracy_score(gold, predicted))


@settings(max_examples=100, deadline=None)
@given(LABELED)
def test_average_precision_and_the_best_f1_equal_scikit_learn(rows: list[list[tuple[bool, bool, int]]]) -> None:
    table = np.array(rows)
    gold, scores = table[..., 0].astype(bool), table[..., 2] / 6
    had = np.flatnonzero(gold.any(axis=0))  # scikit-learn counts the others as 0, and warns
    expected = average_precision_score(gold[:, had], scores[:, had], average=None) if len(had) else []
    for label, value in zip(had, np.atleast_1d(expected), strict=True):
        assert multi_label.average_precision(gold[:, label], scores[:, label]) == pytest.approx(value)
    whole = multi_label.mean_average_precision(gold, scores)
    assert whole == (pytest.approx(np.mean(expected)) if len(had) else None)
    for label, threshold in enumerate(multi_label.tuned_thresholds(gold, scores, fewest=1)):
        if label in had:
            precision, recall, _ = precision_recall_curve(gold[:, label], scores[:, label])
            best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
            assert f1_score(gold[:, label], scores[:, label] >= threshold) == pytest.approx(best)

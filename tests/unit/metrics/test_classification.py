"""Classification measures on cases small enough to count by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hone.metrics.classification import accuracy, confusion, counted, f1_averages, per_class

GOLD, PREDICTED = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 3])


def test_confusion_is_gold_by_predicted() -> None:
    assert confusion(GOLD, PREDICTED, 4).tolist() == [[1, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_scores_by_class_are_zero_where_undefined() -> None:
    precision, recall, f1, support = per_class(counted(GOLD, PREDICTED, 4))
    assert precision.tolist() == pytest.approx([1, 2 / 3, 0, 0])
    assert recall.tolist() == pytest.approx([1 / 2, 2 / 3, 0, 0])
    assert f1.tolist() == pytest.approx([2 / 3, 2 / 3, 0, 0])
    assert support.tolist() == [2, 3, 0, 0]


def test_macro_f1_leaves_out_a_class_that_never_occurs() -> None:
    macro, micro, weighted = f1_averages(counted(GOLD, PREDICTED, 4))
    assert macro == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)  # class 3 is predicted, class 2 occurs nowhere
    assert micro == pytest.approx(3 / 5) == accuracy(counted(GOLD, PREDICTED, 4))
    assert weighted == pytest.approx(2 / 3)


def test_no_examples_have_no_accuracy() -> None:
    nothing = counted(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 3)
    assert accuracy(nothing) is None
    with pytest.raises(ValueError, match="no examples"):
        f1_averages(nothing)


@pytest.mark.parametrize("predicted", [np.array([0, 1, 1, 1]), np.array([0, 1, 1, 1, 4]), np.array([0, 1, 1, 1, -1])])
@pytest.mark.parametrize("count", [confusion, counted])
def test_ids_that_do_not_fit_are_refused(predicted: np.ndarray, count: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        count(GOLD, predicted, 4)


def test_counts_of_many_classes_take_no_matrix_of_them() -> None:
    classes = 1_000_000  # of which a matrix would have a trillion cells
    counts = counted(GOLD, PREDICTED, classes)
    assert [part.shape for part in counts] == [(classes,)] * 3
    assert f1_averages(counts) == f1_averages(counted(GOLD, PREDICTED, 4))

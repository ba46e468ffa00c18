"""Calibration error against hand counts and against what sampling alone gives."""

from __future__ import annotations

import numpy as np
import pytest

from hone.metrics.calibration import ece_of_perfect, expected_calibration_error, reliability


def test_the_error_is_the_mean_gap_weighted_by_count() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    correct = np.array([True, True, True, False, True])
    assert expected_calibration_error(confidence, correct, bins=10) == pytest.approx(4 / 5 * 0.15 + 1 / 5 * 0.4)


def test_reliability_has_one_row_for_each_bin_that_holds_examples() -> None:
    rows = reliability(np.array([0.95, 0.85, 0.3]), np.array([True, False, True]), 5)
    assert [row[2] for row in rows] == [1, 2]
    assert rows[0][:2] == pytest.approx((0.3, 1.0))
    assert rows[1][:2] == pytest.approx((0.9, 0.5))


def test_a_bin_holds_its_upper_edge() -> None:
    assert len(reliability(np.array([0.2, 0.1, 0.0]), np.ones(3, dtype=bool), 5)) == 1
    assert len(reliability(np.array([1.0, 0.99]), np.ones(2, dtype=bool), 5)) == 1


def test_a_calibrated_model_lies_within_what_sampling_gives() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.3, 1.0, 2000)
    mean, (low, high) = ece_of_perfect(confidence, draws=200)
    assert low < mean < high
    assert low < expected_calibration_error(confidence, rng.random(2000) < confidence) < high
    assert expected_calibration_error(confidence, rng.random(2000) < confidence - 0.15) > high


def test_fewer_examples_show_more_error_by_chance() -> None:
    confidence = np.random.default_rng(0).uniform(0.3, 1.0, 4000)
    assert ece_of_perfect(confidence[:100], draws=100)[0] > 3 * ece_of_perfect(confidence, draws=100)[0]


def test_the_draws_are_repeatable() -> None:
    confidence = np.linspace(0.1, 1, 50)
    assert ece_of_perfect(confidence, draws=50, seed=2) == ece_of_perfect(confidence, draws=50, seed=2)


@pytest.mark.parametrize("confidence", [np.zeros(0), np.array([1.2]), np.array([-0.1]), np.array([np.nan])])
def test_what_is_no_probability_is_refused(confidence: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|no examples"):
        expected_calibration_error(confidence, np.ones(len(confidence), dtype=bool))

"""Preferences by hand, and that their counts add up."""

from __future__ import annotations

import numpy as np
import pytest

from hone.metrics.preferences import preference_tally, preferences

OWN = np.array([[-1.0, -2.0], [-3.0, -2.0], [-4.0, -4.0]])
BEFORE = np.array([[-2.0, -2.0], [-4.0, -2.0], [-3.0, -3.0]])
TOKENS = np.array([[2.0, 1.0], [3.0, 1.0], [3.0, 2.0]])


def test_what_is_preferred_is_told_beside_the_reference() -> None:
    found = preferences(preference_tally(OWN, tokens=TOKENS, reference=BEFORE))
    assert found["preference_accuracy"] == pytest.approx(2 / 3)  # a tie is no preference
    assert found["likelihood_accuracy"] == pytest.approx(1 / 3)
    assert found["preference_margin"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["chosen_gain"] == pytest.approx((1 + 1 - 1) / 3)
    assert found["perplexity"] == pytest.approx(np.exp(8 / 8))


def test_without_a_reference_only_likelihoods_are_told() -> None:
    found = preferences(preference_tally(OWN, tokens=TOKENS, reference=None))
    assert [name for name, value in found.items() if value is not None] == ["likelihood_accuracy", "perplexity"]


def test_a_tally_adds_up() -> None:
    tally = preference_tally(OWN, tokens=TOKENS, reference=BEFORE)
    assert preferences(tally.sum(axis=0, keepdims=True)) == pytest.approx(preferences(tally))

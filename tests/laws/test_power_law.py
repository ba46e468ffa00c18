"""A power law is found again from points on it, and its intervals hold what comes."""

from __future__ import annotations

import numpy as np
import pytest

from hone.metrics.power_law import PowerLaw, fit, predicted

SIZES = 20_000.0 * 0.5 ** np.arange(4, -1, -1)


@pytest.mark.parametrize("law", [PowerLaw(1.7, 40.0, 0.3), PowerLaw(0.0, 9.0, 0.5), PowerLaw(0.05, 800.0, 1.1)])
def test_the_law_is_found_again(law: PowerLaw) -> None:
    found = fit(SIZES, law.at(SIZES))
    assert found.exponent == pytest.approx(law.exponent, rel=5e-3)
    assert found.floor == pytest.approx(law.floor, abs=0.02)
    np.testing.assert_allclose(found.at(SIZES * 4), law.at(SIZES * 4), rtol=2e-3)


def test_it_is_the_least_squares_that_scipy_finds() -> None:
    from scipy.optimize import curve_fit

    noisy = PowerLaw(1.0, 50.0, 0.4).at(SIZES) + np.array([0.02, -0.01, 0.015, -0.02, 0.01])

    def law(size: np.ndarray, floor: float, scale: float, exponent: float) -> np.ndarray:
        return floor + scale * size**-exponent

    peer = PowerLaw(*curve_fit(law, SIZES, noisy, p0=(1, 50, 0.4), bounds=(0, np.inf))[0])
    found = fit(SIZES, noisy)
    assert ((noisy - found.at(SIZES)) ** 2).sum() <= ((noisy - peer.at(SIZES)) ** 2).sum() * 1.001
    np.testing.assert_allclose(found.at(SIZES * 2), peer.at(SIZES * 2), rtol=2e-3)


def test_the_interval_covers_what_comes() -> None:
    law, rng, noise, twice = PowerLaw(1.2, 30.0, 0.35), np.random.default_rng(3), 0.02, SIZES[-1:] * 2
    held = 0
    for seed in range(60):
        losses = law.at(SIZES) + rng.normal(0, noise, len(SIZES))
        low, high = predicted(SIZES, losses, np.full(len(SIZES), noise), at=twice, seed=seed)[:, 0]
        held += low <= law.at(twice)[0] + rng.normal(0, noise) <= high
    assert held >= 54  # of 60, at a level of 95%


def test_losses_that_do_not_fall_have_no_power_of_the_size() -> None:
    found = fit(SIZES, np.linspace(1, 2, 5))
    assert found.scale == 0
    assert found.floor == pytest.approx(1.5)


def test_two_sizes_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        fit(np.array([1.0, 2.0, 2.0]), np.ones(3))

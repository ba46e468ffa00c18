"""The power law by which a loss falls with more data, L(D) = E + A / D^alpha (Hestness et al. 2017; Hoffmann et al.
2022), fitted to measured points, and what it says of sizes that were not tried, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ALPHAS = np.geomspace(0.01, 4.0, 600)
FINER = np.geomspace(0.99, 1.01, 201)  # times the best of them
FEWEST = 3  # points: as many as the law has parameters
DRAWS = 1000


@dataclass(frozen=True)
class PowerLaw:
    """A fitted law.

    Attributes:
        floor: E, the loss that no data takes away.
        scale: A, of data as they were given.
        exponent: alpha.
    """

    floor: float
    scale: float
    exponent: float

    def at(self, sizes: FloatArray) -> FloatArray:
        """The loss at such sizes, float64 shaped as they are."""
        found: FloatArray = self.floor + self.scale * np.asarray(sizes, dtype=np.float64) ** -self.exponent
        return found


def fit(sizes: FloatArray, losses: FloatArray) -> PowerLaw:
    """The law of the least squares, floor and scale at least zero: at every exponent of a grid the best two are known
    in closed form.

    Args:
        sizes: float64 [points], positive.
        losses: float64 [points].

    Raises:
        ValueError: There are fewer than `FEWEST` different sizes.
    """
    if len(np.unique(sizes)) < FEWEST:
        raise ValueError(f"at least {FEWEST} different sizes, got {len(np.unique(sizes))}")
    unit = float(np.exp(np.log(sizes).mean()))  # powers of sizes in the middle of them keep their digits
    rough = ALPHAS[_best(sizes / unit, losses[None], ALPHAS)[2][0]]
    floors, scales, at = _best(sizes / unit, losses[None], rough * FINER)
    exponent = float(rough * FINER[at[0]])
    return PowerLaw(float(floors[0]), float(scales[0] * unit**exponent), exponent)


def predicted(
    sizes: FloatArray, losses: FloatArray, spread: FloatArray, *, at: FloatArray, seed: int = 0, level: float = 0.95
) -> FloatArray:
    """Bounds of the loss measured at sizes, float64 [2, len(at)]: laws are fitted to points that are drawn about those
    of the fitted one (a parametric bootstrap), and a measurement misses what they say as those do.

    Args:
        sizes, losses: As of `fit`.
        spread: Standard error of each loss, float64 [points]. Where the points lie further from the law than that, by
            their root mean square over the degrees of freedom left, that counts instead.
        at: Sizes that are asked for.
    """
    law = fit(sizes, losses)
    missed = losses - law.at(sizes)
    free = len(losses) - FEWEST
    left = float(np.sqrt((missed**2).sum() / free)) if free > 0 else 0.0
    noise = np.maximum(spread, left)
    rng = np.random.default_rng(seed)
    drawn = law.at(sizes) + rng.normal(size=(DRAWS, len(sizes))) * noise
    unit = float(np.exp(np.log(sizes).mean()))
    floors, scales, chosen = _best(sizes / unit, drawn, ALPHAS)
    told = floors[:, None] + scales[:, None] * (at / unit) ** -ALPHAS[chosen][:, None]  # [draws, at]
    told = told + rng.normal(size=told.shape) * float(np.sqrt((noise**2).mean()))
    bounds: FloatArray = np.quantile(told, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return bounds


def _best(sizes: FloatArray, losses: FloatArray, alphas: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Floor, scale and the place among ``alphas`` of the best law of each row of losses, [rows, points]."""
    powers = sizes ** -alphas[:, None]  # [alphas, points]
    mean, middle = powers.mean(1), losses.mean(1, keepdims=True)
    centered = powers - mean[:, None]
    slope = (losses - middle) @ centered.T / (centered**2).sum(1)  # [rows, alphas]
    floor = middle - slope * mean
    alone = losses @ powers.T / (powers**2).sum(1)  # the scale where the floor would be below zero
    scale = np.where(slope < 0, 0.0, np.where(floor < 0, alone, slope))
    floor = np.where(slope < 0, middle, np.maximum(floor, 0.0))
    # the sum of squares of floor + scale * powers - losses, without [rows, alphas, points] numbers
    wrong = (losses**2).sum(1, keepdims=True) + floor**2 * len(sizes) + scale**2 * (powers**2).sum(1)
    wrong = wrong + 2 * floor * scale * powers.sum(1) - 2 * floor * losses.sum(1, keepdims=True)
    wrong = wrong - 2 * scale * (losses @ powers.T)
    place = wrong.argmin(1)
    rows = np.arange(len(losses))
    return floor[rows, place], scale[rows, place], place

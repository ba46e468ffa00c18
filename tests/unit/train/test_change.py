"""What a training gained and lost is told from the same examples before and after."""

from __future__ import annotations

import numpy as np

from hone.core.measures import Measure, MeasureSpec
from hone.metrics.intervals import Values
from hone.tasks.protocol import FloatArray
from hone.train.change import Told, changes, verdict


def mean(tally: FloatArray) -> Values:
    total = tally.sum(0)
    return {"loss": float(total[0] / total[1])}


def told(before: FloatArray, after: FloatArray) -> Told:
    ones = np.ones(len(before))
    spec = {"loss": MeasureSpec(better="lower")}
    return Told("general", np.stack([before, ones], 1), np.stack([after, ones], 1), mean, spec, additive=True)


def test_the_interval_is_that_of_the_differences_not_of_the_levels() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(5, 10, 400)  # levels vary by far more than what training adds to each
    noise = rng.normal(0, 0.1, 400)
    [grown] = told(before, before + 0.2 + noise).differences()
    exact = 1.96 * noise.std() / 20
    assert grown.low is not None
    assert grown.high is not None
    middle = 0.2 + noise.mean()
    np.testing.assert_allclose((grown.low, grown.high), (middle - exact, middle + exact), atol=2e-3)
    assert verdict(grown) == "lost"


def test_a_difference_whose_interval_holds_zero_is_not_shown() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(5, 1, 100)
    grid, lost = changes([told(before, before + rng.normal(0, 1, 100))], "en")
    assert grid.rows[0][-1] == "no difference shown"
    assert lost == []


def test_which_way_is_better_decides_the_verdict() -> None:
    rows = np.arange(50.0)
    grid, lost = changes([told(rows, rows - 1 - rows / 100), told(rows, rows + 1 + rows / 100)], "en")
    assert [row[-1] for row in grid.rows] == ["better", "worse"]
    assert lost == ["general"]


def test_of_one_example_nothing_is_shown() -> None:
    assert verdict(Measure(name="loss", value=1.0, better="lower")) == "not_shown"


def test_of_a_handful_of_examples_nothing_is_shown() -> None:
    rows = np.arange(7.0)
    grid, lost = changes([told(rows, rows + 1 + rows / 100)], "en")
    assert (grid.rows[0][-1], lost) == ("no difference shown", [])

"""Examples in parts by their scores."""

from __future__ import annotations

import numpy as np

from hone.tasks.score_bins import score_bins


def test_equal_scores_stay_together_and_every_example_is_in_one_part() -> None:
    tally = np.array([[3.0, 1.0], [0.0, 2.0], [0.0, 3.0], [1.0, 4.0], [0.0, 5.0], [2.0, 6.0]])
    assert [(reach, part[:, 1].tolist()) for reach, part in score_bins(tally, bins=3)] == [
        ("0 – 1", [2.0, 3.0, 5.0, 4.0]),
        ("2 – 3", [6.0, 1.0]),
    ]


def test_no_examples_make_no_parts() -> None:
    assert score_bins(np.zeros((0, 2)), bins=3) == []

"""The tables that say whether confidence can be taken at its word; the same for every task that gives confidences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hone.metrics.calibration import ece_of_perfect, expected_calibration_error, reliability
from hone.report.report import Cell, Grid
from hone.tasks.protocol import FloatArray


def calibration_tables(confidence: FloatArray, correct: NDArray[np.bool_]) -> dict[str, Grid]:
    """``reliability`` by bin, and ``ece_perfect``: the error beside that of a perfectly calibrated model of this n.

    Args:
        confidence: Probability of each answer given, float64 [answers].
        correct: Whether it was right, bool [answers].
    """
    if not len(confidence):
        return {}
    perfect, (low, high) = ece_of_perfect(confidence)
    error = expected_calibration_error(confidence, correct)
    bins: list[list[Cell]] = [[float(c), float(a), int(n)] for c, a, n in reliability(confidence, correct)]
    return {
        "reliability": Grid(columns=["confidence", "accuracy", "count"], rows=bins, show="reliability"),
        "ece_perfect": Grid(columns=["ece", "perfect", "low", "high"], rows=[[error, perfect, low, high]]),
    }

"""Two ways to the same answers, seed by seed over the same rows: what one has over the other, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hone.metrics.intervals import FloatArray, Values, bootstrap

Rights = Mapping[int, Sequence[int]]  # of each seed whether each row was answered right, 1 or 0


def compared(own: Rights, plain: Rights) -> dict[str, Any]:
    """Accuracy of ``own``, and its gain over ``plain`` with the 95% interval over rows: both answers of a row are drawn
    together, means over the seeds that both have."""
    seeds = sorted(set(own) & set(plain))
    pairs = np.array([[own[seed], plain[seed]] for seed in seeds], dtype=np.float64)
    tally = pairs.mean(0).T  # [rows, one or the other]
    low, high = bootstrap(_with_count(tally), _gain, additive=True)["gain"] or (None, None)
    return {
        "seeds": seeds,
        "accuracy": float(tally[:, 0].mean()),
        "accuracy_by_seed": [float(np.mean(own[seed])) for seed in seeds],
        "gain": float((tally[:, 0] - tally[:, 1]).mean()),
        "gain_low": low,
        "gain_high": high,
    }


def shown(row: Mapping[str, Any], *, name: str, width: int = 24) -> str:
    """A line of a table of such rows."""
    low, high = (0.0 if row[key] is None else row[key] for key in ("gain_low", "gain_high"))
    return f"{name:{width}} {row['accuracy']:8.4f} {row['gain']:+7.4f}  [{low:+.4f}, {high:+.4f}]"


def _with_count(tally: FloatArray) -> FloatArray:
    """With a column of ones, so that sums of rows tell how many there are."""
    return np.column_stack([tally, np.ones(len(tally))])


def _gain(tally: FloatArray) -> Values:
    own, plain, count = tally.sum(0)
    return {"gain": float((own - plain) / count)}

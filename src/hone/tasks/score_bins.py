"""`score_bins`: examples with low, middling and high scores, for tables of what is said of each."""

from __future__ import annotations

import numpy as np

from hone.tasks.protocol import FloatArray


def score_bins(tally: FloatArray, *, bins: int) -> list[tuple[str, FloatArray]]:
    """Rows of ``tally`` (float64 [examples, k]) by their first column, the scores, in at most ``bins`` parts of about
    the same size, each named by its lowest and highest score; equal scores stay together."""
    order = tally[np.argsort(tally[:, 0], kind="stable")]
    edges = np.unique([order[len(order) * i // bins, 0] for i in range(bins)]) if len(order) else np.zeros(0)
    place = np.searchsorted(edges, order[:, 0], side="right") - 1
    parts = [order[place == i] for i in range(len(edges))]
    return [(_reach(f"{part[0, 0]:.4g}", f"{part[-1, 0]:.4g}"), part) for part in parts]


def _reach(low: str, high: str) -> str:
    return low if low == high else f"{low} – {high}"

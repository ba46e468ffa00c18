"""How fast two bundles that write are, beside each other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.compress.compare import texts_of
from hone.core.measures import Measure
from hone.predict.predictor import Predictor
from hone.report.report import Cell

TOGETHER, ALONE, REPEATS = 48, 12, 6  # texts asked at once, and one at a time; timings of all at once


def written_speed(
    parent: Predictor, child: Predictor, columns: Mapping[str, Sequence[Any]]
) -> tuple[list[list[Cell]], list[Measure]]:
    """Rows of what, parent's and child's figures: tokens written a second, all texts at once, and milliseconds of a
    text alone; and how many times the parent's tokens a second the child's are. Both write in alternation, after a
    warm-up. Nothing of rows that nothing is written for."""
    texts = texts_of(parent.task, columns, most=TOGETHER)
    both = (parent, child)
    written = [sum(one.get("tokens", 0) for one in each.predict(texts)) for each in both]
    if not all(written):
        return [], []
    rates: NDArray[np.float64] = np.zeros((REPEATS, 2))
    for repeat in range(REPEATS):
        for i in (0, 1) if repeat % 2 == 0 else (1, 0):
            rates[repeat, i] = written[i] / _seconds(both[i], texts)
    alone = np.array([[_seconds(each, [text]) for each in both] for text in texts[:ALONE]]) * 1e3
    found = [("tokens_per_s", np.median(rates, axis=0)), ("latency_p50", np.median(alone, axis=0))]
    found.append(("latency_p99", np.quantile(alone, 0.99, axis=0)))
    ratios = rates[:, 1] / rates[:, 0]
    faster = Measure(
        name="times_the_tokens", value=float(np.median(ratios)), low=float(ratios.min()), high=float(ratios.max()),
        level=1 - 2.0 ** (1 - REPEATS), n=REPEATS, unit="",
    )  # fmt: skip
    return [[name, *map(float, values)] for name, values in found], [faster]


def _seconds(predictor: Predictor, texts: Sequence[Any]) -> float:
    began = time.perf_counter()
    predictor.predict(list(texts))
    return time.perf_counter() - began

"""One report with a grid of every kind, for the tests of page, console and file."""

from __future__ import annotations

import pytest

from hone.core.measures import Measure
from hone.report.report import Cell, Grid, Report

HOSTILE = "<script>alert('x')</script> & \"quoted\""


@pytest.fixture
def hostile() -> str:
    """A text that would be a script if a page let it."""
    return HOSTILE


def _grids() -> dict[str, Grid]:
    labels = ["refund", "card_arrival", HOSTILE]
    shared: list[list[Cell]] = [[label, 0.5 + i / 10, 7 + i] for i, label in enumerate(labels)]
    return {
        "worst_mistakes": Grid(columns=["text", "gold"], rows=[[HOSTILE, "refund"], ["a\u200bb \u202ec", None]]),
        "per_class": Grid(columns=["label", "f1", "support"], rows=shared, show="bars"),
        "token_lengths": Grid(columns=["tokens", "count"], rows=[["0-8", 3], ["8-16", 0]], show="histogram"),
        "confusion": Grid(columns=["gold", *labels], rows=[[label, 3, 0, 1] for label in labels], show="matrix"),
        "validation_curve": Grid(columns=["epoch", "accuracy"], rows=[[1, 0.9], [2, None], [3, 0.5]], show="line"),
        "reliability": Grid(
            columns=["confidence", "accuracy", "count"], rows=[[0.5, 0.4, 10], [0.9, 0.95, 30]], show="reliability"
        ),
        "splits": Grid(columns=["split", "rows"], rows=[["train", 12_000], ["test", 3]], names="words"),
        "duplicates": Grid(columns=["text", "count"], rows=[]),
    }


@pytest.fixture
def report() -> Report:
    """Every kind of measure, grid, warning and fact."""
    return Report(
        stage="evaluate",
        bundle="ab" * 32,
        measures=[
            Measure(name="accuracy", value=0.9366, low=0.9274, high=0.9448, n=3080),
            Measure(name="ece", value=0.0213, low=0.015, high=0.031, n=3080, better="lower"),
            Measure(name="macro_f1", value=None, reason="no class has an example", n=0),
            Measure(name="accuracy", value=0.9, low=0.8, high=0.95, n=120, slice="tokens 0-16"),
            Measure(name="accuracy", value=None, reason="no example is that long", slice="tokens 17-32"),
        ],
        tables=_grids(),
        warnings=[f"3 texts leak: {HOSTILE}"],
        facts={"rows": 3080, "data": HOSTILE, "seconds": 12.34, "stopped_early": False, "best_step": None},
    )

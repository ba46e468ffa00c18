"""What a training logged, as the plots of its report."""

from __future__ import annotations

import json
from pathlib import Path

from hone.report.report import Cell, Grid
from hone.train.loop import Setup, Trained
from hone.train.trackers import LOG

PLOTS = {
    "log_loss": "loss",
    "log_reward": "reward",
    "log_distance": "log_ratio",
    "log_learning_rate": "learning_rate",
    "log_gradient_norm": "gradient_norm",
    "log_tokens_per_s": "tokens_per_s",
    "log_mfu": "mfu",
}  # table -> what of the log it shows
MOST = 200  # points of a plot


def training_plots(trained: Trained, setup: Setup) -> dict[str, Grid]:
    """The plots of a training: of the measure it was watched by, and of what it logged."""
    plots = {}
    if trained.position.history:
        points: list[list[Cell]] = [[record["epoch"], record[setup.watched]] for record in trained.position.history]
        plots["validation_curve"] = Grid(columns=["epoch", setup.watched], rows=points, show="line")
    return plots | log_plots(setup.checkpoints.parent)


def log_plots(folder: Path) -> dict[str, Grid]:
    """A plot over the steps of each of `PLOTS` that the log in ``folder`` has more than once: of many lines at most
    `MOST`, evenly spread."""
    lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if "loss" in record]
    every = max(1, -(-len(records) // MOST))
    chosen = records[::-1][::every][::-1]  # the last one among them
    plots = {}
    for plot, name in PLOTS.items():
        points: list[list[Cell]] = [[record["step"], record[name]] for record in chosen if name in record]
        if len(points) > 1:
            plots[plot] = Grid(columns=["step", name], rows=points, show="line")
    return plots

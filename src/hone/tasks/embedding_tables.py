"""How answers of ``sentence-embedding`` are shown: what is near beside what should be, and where it was found."""

from __future__ import annotations

import itertools

import numpy as np

from hone.report.report import Cell, Grid
from hone.tasks.protocol import Columns, FloatArray, Scored
from hone.tasks.reading import BETWEEN
from hone.tasks.rows import IntArray
from hone.tasks.score_bins import score_bins

OFF = 0.1  # of the scores' standard deviation: what is farther off is a mistake
RANKS = (1, 3, 10, 100)  # where the table of ranks is parted


def shown_near(tally: FloatArray, columns: Columns) -> Scored:
    """How near the texts of each pair are beside how near its score has them."""
    shown = [BETWEEN.join(pair) for pair in zip(columns["text_a"], columns["text_b"], strict=True)]
    gold = tally[:, 0]
    said = np.sort(gold)[np.argsort(np.argsort(tally[:, 1], kind="stable"))]  # the score of a pair so far up
    off = np.abs(gold - said)
    off = np.where(off > OFF * gold.std(), off, 0.0)
    words = [f"{value:.4g}" for value in gold]
    given = [f"{value:.4g}" if far else word for value, far, word in zip(said, off, words, strict=True)]
    return Scored({"similarity_by_score": _by_score(tally)}, off, shown, words, given)


def shown_found(rank: FloatArray, first: IntArray, columns: Columns) -> Scored:
    """Where the second text of each pair stands among all, and what stands first in its place."""
    passages = np.unique(np.array(columns["text_b"], dtype=object))
    said, table = passages[first].tolist(), _rank_table(rank.astype(np.int64))
    return Scored({"ranks": table}, 1 - 1 / rank, columns["text_a"], columns["text_b"], said)


def shown_labels(rank: FloatArray, nearest: IntArray, columns: Columns) -> Scored:
    """Where the nearest text of the same label stands among those of others, and the label of the nearest text."""
    right = np.nan_to_num(rank, nan=1.0)
    labels = columns["label"]
    said = [labels[i] if one == 1 else labels[near] for i, (one, near) in enumerate(zip(right, nearest, strict=True))]
    ranked = rank[~np.isnan(rank)].astype(np.int64)
    return Scored({"ranks": _rank_table(ranked)}, 1 - 1 / right, columns["text"], labels, said)


def _by_score(tally: FloatArray) -> Grid:
    """Mean similarity of ten parts of the pairs at most, from the lowest scores to the highest."""
    rows: list[list[Cell]] = [
        [reach, float(part[:, 1].mean()), float(part[:, 1].std()), len(part)]
        for reach, part in score_bins(tally, bins=10)
    ]
    return Grid(columns=["scores", "similarity", "standard_deviation", "count"], rows=rows)


def _rank_table(rank: IntArray) -> Grid:
    most = int(rank.max(initial=1))
    edges = [0, *(edge for edge in RANKS if edge < most), most]
    rows: list[list[Cell]] = []
    for low, high in itertools.pairwise(edges):
        count = int(((rank > low) & (rank <= high)).sum())
        name = f"{low + 1}-{high}" if high > low + 1 else f"{high}"
        rows.append([name, count, count / max(1, len(rank))])
    return Grid(columns=["rank", "count", "share"], rows=rows)

"""What an epoch has of a corpus whose sources have shares, or whose kinds of documents do not come alike: so many rows
of each, others in the next epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hone.data.corpus.corpus import Corpus
from hone.data.corpus.kinds import kinds_of
from hone.data.passes import Passes
from hone.tasks.rows import IntArray, Rows


def mixed(corpus: Corpus, rows: Rows, *, seed: int) -> Passes:
    """The rows of each epoch.

    Args:
        corpus: The documents that the rows are pieces of.
        rows: In the order of the documents.
        seed: Of the order.

    Raises:
        DataError: A source is sampled by what is nearly another for each document.
    """
    found = list(_groups(corpus, rows))
    quotas = [max(1, round(len(group) * times)) if times else 0 for group, times in found]
    return Passes([group for group, _ in found], quotas, seed=seed, buffer=corpus.settings.shuffle_buffer)


def _groups(corpus: Corpus, rows: Rows) -> Iterator[tuple[IntArray, float]]:
    """The rows of each source, or of each kind of its documents, and how often an epoch goes over them."""
    edges = np.searchsorted(rows.example, corpus.begins)
    for at, times in enumerate(corpus.shares.passes):
        group, kinds = np.arange(edges[at], edges[at + 1]), kinds_of(corpus, at)
        if kinds is None or not len(group):
            yield group, times
            continue
        of = kinds.of[rows.example[group] - corpus.begins[at]]
        for kind, own in enumerate(kinds.passes.tolist()):
            yield group[of == kind], own

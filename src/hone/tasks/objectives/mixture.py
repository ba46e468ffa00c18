"""What an epoch has of a corpus whose sources have shares: so many rows of each, others in the next epoch."""

from __future__ import annotations

import itertools

import numpy as np

from hone.data.corpus.corpus import Corpus
from hone.data.passes import Passes
from hone.tasks.rows import Rows


def mixed(corpus: Corpus, rows: Rows, *, seed: int) -> Passes:
    """The rows of each epoch.

    Args:
        corpus: The documents that the rows are pieces of.
        rows: In the order of the documents.
        seed: Of the order.
    """
    edges = np.searchsorted(rows.example, corpus.begins)
    groups = [np.arange(begin, end) for begin, end in itertools.pairwise(edges.tolist())]
    passes = zip(groups, corpus.shares.passes, strict=True)
    quotas = [max(1, round(len(group) * times)) if times else 0 for group, times in passes]
    return Passes(groups, quotas, seed=seed, buffer=corpus.settings.shuffle_buffer)

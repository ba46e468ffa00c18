"""What an epoch has of a corpus whose sources have shares, or whose kinds of documents do not come alike: so many rows
of each, others in the next epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hone.data.corpus.corpus import Corpus
from hone.data.corpus.mixture import tempered
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
    for at, (source, times) in enumerate(zip(corpus.settings.named().values(), corpus.shares.passes, strict=True)):
        group = np.arange(edges[at], edges[at + 1])
        if source.sampling is None or not len(group):
            yield group, times
            continue
        documents = np.arange(corpus.begins[at], corpus.begins[at + 1])
        part = corpus.take(documents)
        kinds, names = part.kinds()
        characters = np.zeros(len(names))
        np.add.at(characters, kinds, part.characters_of())
        oftener = tempered(characters, power=source.sampling.power, most=source.sampling.max_repeats)
        of = kinds[rows.example[group] - corpus.begins[at]]
        for kind in range(len(names)):
            yield group[of == kind], times * float(oftener[kind])

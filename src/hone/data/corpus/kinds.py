"""`Kinds`: the kinds of a source's documents, and how often an epoch goes over each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hone.data.corpus.corpus import Corpus
from hone.data.corpus.mixture import FloatArray, tempered
from hone.data.dataset import IntArray


@dataclass(frozen=True)
class Kinds:
    """What a source is sampled by.

    Attributes:
        names: Of the kinds, in order.
        of: The number of each document's kind, int64 [documents].
        characters: Of each kind, float64 [kinds].
        passes: How often an epoch goes over each, float64 [kinds].
    """

    names: list[str]
    of: IntArray
    characters: FloatArray
    passes: FloatArray


def kinds_of(corpus: Corpus, at: int) -> Kinds | None:
    """Those of the source with the number ``at``; None where it is not sampled by any, or has no documents.

    Raises:
        DataError: There are more than `hone.data.corpus.corpus.MOST_KINDS`.
    """
    source = list(corpus.settings.named().values())[at]
    documents = np.arange(corpus.begins[at], corpus.begins[at + 1])
    if source.sampling is None or not len(documents):
        return None
    part = corpus.take(documents)
    of, names = part.kinds()
    characters = np.zeros(len(names))
    np.add.at(characters, of, part.characters_of())
    oftener = tempered(characters, power=source.sampling.power, most=source.sampling.max_repeats)
    return Kinds(names, of, characters, oftener * corpus.shares.passes[at])

"""Entities read from BIO tags, counted as conlleval does (Tjong Kim Sang and De Meulder 2003).

Counts of several labels lie in one array int64 [3 x labels]: true positives of all, predicted of all, gold of all.
Such arrays add up over texts; `per_label` and `averages` read the scores off their sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import FloatArray, precision_recall_f1

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Span = tuple[str, int, int]
Texts = Sequence[Sequence[str]]


def spans(tags: Sequence[str]) -> list[Span]:
    """Entities ``(type, first, end)``, end exclusive; an ``I-`` that continues nothing begins one."""
    found: list[Span] = []
    kind, first = "", 0
    for i, tag in enumerate(tags):
        if kind and tag == f"I-{kind}":
            continue
        if kind:
            found.append((kind, first, i))
        kind, first = (tag[2:], i) if tag != "O" else ("", i)
    if kind:
        found.append((kind, first, len(tags)))
    return found


def span_tally(gold: Texts, predicted: Texts, kinds: Sequence[str]) -> IntArray:
    """Entity counts of each text by type, int64 [texts, 3 x kinds]; a hit has type and both ends right.

    Reads entities as `spans` does, all texts at once.

    Args:
        gold, predicted: BIO tags, one sequence a text, of equal lengths.
        kinds: Entity types, such as ``PER``, in the order of the columns.

    Raises:
        ValueError: Lengths differ, or a tag's type is not among ``kinds``.
    """
    sizes = _sizes(gold, predicted)
    text = np.repeat(np.arange(len(sizes)), sizes)  # [tokens] which text
    first = np.zeros(len(text), dtype=bool)
    first[(np.cumsum(sizes) - sizes)[sizes > 0]] = True
    index = {"O": (-1, False)}
    for i, kind in enumerate(kinds):
        index |= {f"B-{kind}": (i, True), f"I-{kind}": (i, False)}
    true_kind, true_end = _starts(_looked_up(gold, index), first)
    said_kind, said_end = _starts(_looked_up(predicted, index), first)
    hit_kind = np.where((true_kind == said_kind) & (true_end == said_end), true_kind, -1)
    return _by_text(text, (hit_kind, said_kind, true_kind), texts=len(sizes), labels=len(kinds))


def token_tally(gold: Texts, predicted: Texts, tags: Sequence[str]) -> IntArray:
    """Counts of each text by tag, each word on its own, int64 [texts, 3 x tags].

    Raises:
        ValueError: Lengths differ, or a tag is not among ``tags``.
    """
    sizes = _sizes(gold, predicted)
    text = np.repeat(np.arange(len(sizes)), sizes)
    index = {tag: (i, False) for i, tag in enumerate(tags)}
    true, said = _looked_up(gold, index)[:, 0], _looked_up(predicted, index)[:, 0]
    return _by_text(text, (np.where(true == said, true, -1), said, true), texts=len(sizes), labels=len(tags))


def per_label(counts: FloatArray | IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Precision, recall, F1 (0 where undefined) and support, float64 [labels] each, of counts [3 x labels]."""
    hits, said, true = np.asarray(counts, dtype=np.float64).reshape(3, -1)
    return *precision_recall_f1(hits, said, true), true


def averages(counts: FloatArray | IntArray) -> dict[str, float]:
    """Averages of counts [3 x labels]; 0 where undefined.

    Returns:
        ``micro_precision``, ``micro_recall``, ``micro_f1`` of the counts of all labels together; ``macro_f1``, the
        plain mean over the labels that occur in gold or among the predictions (as seqeval and scikit-learn take it);
        ``weighted_f1``, the mean by support.
    """
    summed = np.asarray(counts, dtype=np.float64).reshape(3, -1)
    _, _, f1, support = per_label(summed)
    precision, recall, micro = precision_recall_f1(*summed.sum(axis=1, keepdims=True))
    seen = (summed[1] + support) > 0
    return {
        "micro_precision": float(precision[0]),
        "micro_recall": float(recall[0]),
        "micro_f1": float(micro[0]),
        "macro_f1": float(f1[seen].mean()) if seen.any() else 0.0,
        "weighted_f1": float(f1 @ support / support.sum()) if support.sum() else 0.0,
    }


def _sizes(gold: Texts, predicted: Texts) -> IntArray:
    sizes = [len(tags) for tags in gold]
    if sizes != [len(tags) for tags in predicted]:
        raise ValueError("gold and predicted tags must have equal lengths, text by text")
    return np.array(sizes, dtype=np.int64)


def _looked_up(texts: Texts, index: Mapping[str, tuple[int, bool]]) -> IntArray:
    """Label id and whether the tag begins an entity, int64 [tokens, 2]."""
    tags: Iterable[str] = chain.from_iterable(texts)
    try:
        return np.array([index[tag] for tag in tags], dtype=np.int64).reshape(-1, 2)
    except KeyError as error:
        raise ValueError(f"tag {error.args[0]!r} is none of {', '.join(index)}") from None


def _starts(read: IntArray, first: BoolArray) -> tuple[IntArray, IntArray]:
    """Where a token begins an entity: its type (-1 elsewhere) and the entity's end; int64 [tokens] each."""
    kind, begins = read[:, 0], read[:, 1].astype(bool)
    before = np.concatenate([[-1], kind[:-1]])
    continues = (kind >= 0) & ~begins & (kind == before) & ~first
    breaks = np.flatnonzero(~continues)  # every entity ends where the next token does not continue it
    ends = np.append(breaks, len(kind))[np.searchsorted(breaks, np.arange(len(kind)), side="right")]
    return np.where(continues, -1, kind), ends


def _by_text(text: IntArray, parts: Sequence[IntArray], *, texts: int, labels: int) -> IntArray:
    """Counts int64 [texts, parts x labels] of label ids [tokens]; -1 counts nothing."""
    counted = []
    for ids in parts:
        real = ids >= 0
        places = text[real] * labels + ids[real]
        counted.append(np.bincount(places, minlength=texts * labels).reshape(texts, labels))
    return np.concatenate(counted, axis=1)

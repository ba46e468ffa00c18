"""Entities read from BIO tags, counted as conlleval does (Tjong Kim Sang and De Meulder 2003).

Counts of several labels lie in one array int64 [3 x labels]: true positives of all, predicted of all, gold of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import FloatArray, precision_recall_f1

Span = tuple[str, int, int]


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


def span_counts(gold: Sequence[str], predicted: Sequence[str], kinds: Sequence[str]) -> NDArray[np.int64]:
    """Entity counts of one text by type; a hit has type and both ends right."""
    index = {kind: i for i, kind in enumerate(kinds)}
    counts = np.zeros((3, len(kinds)), dtype=np.int64)
    true, said = set(spans(gold)), set(spans(predicted))
    for row, members in enumerate((true & said, said, true)):
        for kind, _, _ in members:
            counts[row, index[kind]] += 1
    return counts.ravel()


def token_counts(gold: Sequence[str], predicted: Sequence[str], tags: Sequence[str]) -> NDArray[np.int64]:
    """Counts of one text by tag, each word on its own."""
    index = {tag: i for i, tag in enumerate(tags)}
    true = np.array([index[tag] for tag in gold], dtype=np.int64)
    said = np.array([index[tag] for tag in predicted], dtype=np.int64)
    hits = true[true == said]
    return np.concatenate([np.bincount(ids, minlength=len(tags)) for ids in (hits, said, true)])


def per_label(counts: FloatArray | NDArray[np.int64]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Precision, recall, F1 and support, float64 [labels] each."""
    hits, said, true = np.asarray(counts, dtype=np.float64).reshape(3, -1)
    return *precision_recall_f1(hits, said, true), true


def averages(counts: FloatArray | NDArray[np.int64]) -> dict[str, float]:
    """``micro_precision``, ``micro_recall``, ``micro_f1``, ``macro_f1`` (labels that occur), ``weighted_f1``."""
    hits, said, true = np.asarray(counts, dtype=np.float64).reshape(3, -1)
    _, _, f1, support = per_label(counts)
    precision, recall, micro = precision_recall_f1(
        hits.sum(keepdims=True), said.sum(keepdims=True), true.sum(keepdims=True)
    )
    seen = (said + true) > 0
    return {
        "micro_precision": float(precision[0]),
        "micro_recall": float(recall[0]),
        "micro_f1": float(micro[0]),
        "macro_f1": float(f1[seen].mean()) if seen.any() else 0.0,
        "weighted_f1": float(f1 @ support / support.sum()) if support.sum() else 0.0,
    }

"""How taggings are scored: entities as conlleval counts them, and the token-level table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hone.core.measures import MeasureSpec
from hone.metrics.calibration import BINS, calibration_gaps
from hone.metrics.entities import averages, per_label, span_tally, spans, token_tally
from hone.report.report import Grid
from hone.tasks.calibration_tables import calibration_tables
from hone.tasks.label_tables import confusion_table, label_table
from hone.tasks.protocol import FloatArray, Scored

Join = Callable[[Sequence[str]], tuple[str, list[tuple[int, int]]]]

Texts = Sequence[Sequence[str]]

SPECS: Mapping[str, MeasureSpec] = {
    name: MeasureSpec()
    for name in (
        "entity_f1",
        "entity_precision",
        "entity_recall",
        "entity_macro_f1",
        "token_weighted_f1",
        "token_macro_f1",
        "token_accuracy",
    )
} | {"entity_ece": MeasureSpec(better="lower")}


def types_of(tags: Sequence[str]) -> tuple[str, ...]:
    """Entity types of a tag set, sorted."""
    return tuple(sorted({tag[2:] for tag in tags if tag != "O"}))


def tally(gold: Texts, predicted: Texts, sure: Sequence[Sequence[float]], *, tags: tuple[str, ...]) -> FloatArray:
    """Float64 [examples, 3 x types + 3 x tags + bins]: true positives, predicted and gold, of entities, then of tokens;
    then accuracy less confidence of the predicted entities, summed in bins of confidence.

    Args:
        sure: Confidence of each predicted entity, in the order of the text.
    """
    kinds = types_of(tags)
    if not gold:
        return np.zeros((0, 3 * (len(kinds) + len(tags)) + BINS))
    gaps = [calibration_gaps(*_entity_hits(*row)) for row in zip(gold, predicted, sure, strict=True)]
    counts = [span_tally(gold, predicted, kinds), token_tally(gold, predicted, tags), np.stack(gaps)]
    return np.concatenate(counts, axis=1).astype(np.float64)


def _entity_hits(
    gold: Sequence[str], predicted: Sequence[str], sure: Sequence[float]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Confidence of each predicted entity of one text, and whether it is right."""
    true = set(spans(gold))
    return np.array(sure, dtype=np.float64), np.array([span in true for span in spans(predicted)], dtype=bool)


def measures(counts: FloatArray, *, tags: tuple[str, ...]) -> dict[str, float | None]:
    """Every measure of the summed rows of a tally; None where there is nothing to score."""
    kinds = types_of(tags)
    summed = counts.sum(axis=0)
    entity, token, gaps = np.split(summed, [3 * len(kinds), 3 * (len(kinds) + len(tags))])
    tokens = token[2 * len(tags) :].sum()
    if not len(counts) or not tokens:
        return dict.fromkeys(SPECS)
    said = entity[len(kinds) : 2 * len(kinds)].sum()
    entity_scores, token_scores = averages(entity), averages(token)
    return {
        "entity_f1": entity_scores["micro_f1"],
        "entity_precision": entity_scores["micro_precision"],
        "entity_recall": entity_scores["micro_recall"],
        "entity_macro_f1": entity_scores["macro_f1"],
        "token_weighted_f1": token_scores["weighted_f1"],
        "token_macro_f1": token_scores["macro_f1"],
        "token_accuracy": float(token[: len(tags)].sum() / tokens),
        "entity_ece": float(np.abs(gaps).sum() / said) if said else None,
    }


def scored(
    words: Texts,
    gold: Texts,
    predicted: Texts,
    sure: Sequence[Sequence[float]],
    *,
    tags: tuple[str, ...],
    join: Join,
) -> Scored:
    """Tables by entity and by token, and calibration; badness is the number of entities missed or made up.

    Args:
        join: Makes one text of words, and their offsets in it.
    """
    kinds = types_of(tags)
    counts = tally(gold, predicted, sure, tags=tags)
    split = 3 * len(kinds)
    entity, token, _ = np.split(counts.sum(axis=0), [split, split + 3 * len(tags)])
    hit = [_entity_hits(*row) for row in zip(gold, predicted, sure, strict=True)]
    tables = {
        "per_entity": label_table(kinds, *per_label(entity)),
        "per_token": label_table(tags, *per_label(token)),
        "confusion": _confusion(gold, predicted, tags),
        **(calibration_tables(*map(np.concatenate, zip(*hit, strict=True))) if hit else {}),
    }
    hits, said, true = counts[:, :split].reshape(len(counts), 3, -1).sum(axis=2).T
    return Scored(
        tables,
        badness=(said - hits) + (true - hits),
        texts=[join(row)[0] for row in words],
        gold=[_entities(*pair, join=join) for pair in zip(words, gold, strict=True)],
        said=[_entities(*pair, join=join) for pair in zip(words, predicted, strict=True)],
    )


def _entities(words: Sequence[str], tags: Sequence[str], *, join: Join) -> str:
    """``LOC: New York · PER: Ada``; a dash where there are none."""
    found = [f"{kind}: {join(words[first:end])[0]}" for kind, first, end in spans(tags)]
    return " · ".join(found) or "–"


def _confusion(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]) -> Grid:
    ids = {tag: i for i, tag in enumerate(tags)}
    counts = np.zeros((len(tags), len(tags)), dtype=np.int64)
    for g, p in zip(gold, predicted, strict=True):
        np.add.at(counts, ([ids[t] for t in g], [ids[t] for t in p]), 1)
    return confusion_table(counts, tags)

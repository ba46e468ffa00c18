"""Tables of what was written, whatever was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hone.metrics.diversity import distinct, distinct_tally, self_bleu, self_bleu_tally
from hone.report.report import Cell, Grid
from hone.tasks.protocol import Prediction
from hone.text.units import words_and_characters


def tables_of(predictions: Sequence[Prediction]) -> dict[str, Grid]:
    """Why the texts ended, and how alike they are; of conversations every answer counts."""
    written = [one for prediction in predictions for one in prediction.get("answers", [prediction])]
    return {"endings": _endings(written), "variety": _variety([one.get("text", "") for one in written])}


def _endings(predictions: Sequence[Prediction]) -> Grid:
    counts = Counter(prediction["ended"] for prediction in predictions if "ended" in prediction)
    rows: list[list[Cell]] = [[why, count, count / len(predictions)] for why, count in counts.most_common()]
    return Grid(columns=["ended", "count", "share"], rows=rows, names="words")


def _variety(said: Sequence[str]) -> Grid:
    """How many of the n-grams of all texts together are distinct, and how alike the texts are."""
    units = [words_and_characters(text) for text in said]
    found = {**distinct(distinct_tally(units)), **self_bleu(self_bleu_tally(units))}
    return Grid(columns=list(found), rows=[list(found.values())])

"""Answers of conversations: as a person reads them, and what several rows of one conversation came to together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hone.tasks.protocol import Prediction
from hone.tasks.written_scores import REFERENCE, REFERENCE_CUT


def as_read(turns: Sequence[Mapping[str, str]]) -> str:
    """Turns as a person reads them."""
    return "\n".join(f"{turn['role']}: {turn['text']}" for turn in turns)


def written_of(prediction: Prediction) -> list[str]:
    """What was written: of a conversation whose answers are known each, else one text; empty where there is none."""
    return [one.get("text", "") for one in prediction.get("answers", [prediction])]


def add_row(found: Prediction, row: Prediction) -> None:
    """Add what another row of the same example came to."""
    for name in REFERENCE:
        found[name] += row[name]
    found["truncated"] |= row["truncated"]
    if REFERENCE_CUT in row:
        found[REFERENCE_CUT] = True
    if "answers" in row:
        found["answers"] += row["answers"]

"""The segmenter that a recipe names, made of the texts that are learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hone.core.choice import opened
from hone.core.errors import Fault
from hone.data.dataset import Dataset
from hone.data.order import spread
from hone.tasks.objectives.documents import TEXT
from hone.text.segmenters.segmenter import Segmenter, SegmenterEntry
from hone.text.segmenters.table import SEGMENTERS


def segmenter_of(chosen: Mapping[str, Any] | None, rows: Dataset) -> Segmenter | None:
    """What cuts Chinese into words; None where nothing is named.

    Raises:
        MissingExtra: It needs a package that is not installed.
    """
    if chosen is None:
        return None
    entry, settings = opened(chosen, SEGMENTERS)
    made: Segmenter = entry.make(settings, (rows.value(TEXT, row) for row in spread(len(rows))))
    return made


def segmenter_faults(chosen: Mapping[str, Any] | None, objectives: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """A segmenter that no objective makes use of.

    Raises:
        MissingExtra: As `segmenter_of`.
    """
    if chosen is None:
        return
    entry: SegmenterEntry = SEGMENTERS[chosen["name"]]
    entry.require()
    if all(one.get("masking", "tokens") == "tokens" for one in objectives):
        found = f"{chosen['name']}, and no objective that hides whole words"
        expected = "objective: {name: mlm, masking: words}, or spans"
        yield Fault("recipe.segmenter", found, expected, field="segmenter")

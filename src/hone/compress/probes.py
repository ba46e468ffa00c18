"""Inputs made of random words, for what has to hold of any text: a conversion that changes nothing, say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.fields import Field
from hone.tasks.protocol import Columns, Task

PROBES = 64
MOST_WORDS = 24


def probes(task: Task, *, seed: int) -> Columns:
    """Examples of the task, of random words of the vocabulary, of random lengths; spans are of a word each."""
    words = sorted(word for word in task.tokenizer.vocabulary() if word.isalpha())
    drawn = np.random.default_rng(seed)
    spans = [field.name for field in task.inputs if field.kind == "span"]
    columns: dict[str, list[Any]] = {field.name: [] for field in task.inputs}
    for _ in range(PROBES):
        chosen = {
            field.name: [str(word) for word in drawn.choice(words, drawn.integers(len(spans) + 1, MOST_WORDS))]
            for field in task.inputs
        }
        for field in task.inputs:
            columns[field.name].append(_value(field, chosen, spans))
    return columns


def _value(field: Field, chosen: dict[str, list[str]], spans: Sequence[str]) -> Any:
    if field.kind != "span":
        return chosen[field.name] if field.kind == "tokens" else " ".join(chosen[field.name])
    words, at = chosen["text"], spans.index(field.name)
    start = sum(len(word) + 1 for word in words[:at])
    return {"start": start, "end": start + len(words[at])}

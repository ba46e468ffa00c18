"""Inputs made of random words, for what has to hold of any text: a conversion that changes nothing, say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.fields import Field
from hone.tasks.protocol import Columns, Task

PROBES = 64
MOST_WORDS = 24
BEFORE_WORDS = "Ġ▁"  # how vocabularies write the space before a word


def probes(task: Task, *, seed: int) -> Columns:
    """Examples of the task, of random words of the vocabulary, of random lengths; spans are of a word each. Of a task
    that writes the texts to write are among them, for without any there are no scores."""
    fields = [*task.inputs, *(target for target in task.targets if target.kind == "written")]
    words = sorted({word.lstrip(BEFORE_WORDS) for word in task.tokenizer.vocabulary()})
    words = [word for word in words if word.isalpha()]
    drawn = np.random.default_rng(seed)
    spans = [field.name for field in task.inputs if field.kind == "span"]
    most = max(len(spans) + 2, min(MOST_WORDS, task.max_tokens // 6))
    columns: dict[str, list[Any]] = {field.name: [] for field in fields}
    for _ in range(PROBES):
        chosen = {
            field.name: [str(word) for word in drawn.choice(words, drawn.integers(len(spans) + 1, most))]
            for field in fields
        }
        for field in fields:
            columns[field.name].append(_value(field, chosen, spans))
    return columns


def _value(field: Field, chosen: dict[str, list[str]], spans: Sequence[str]) -> Any:
    if field.kind != "span":
        return chosen[field.name] if field.kind == "tokens" else " ".join(chosen[field.name])
    words, at = chosen["text"], spans.index(field.name)
    start = sum(len(word) + 1 for word in words[:at])
    return {"start": start, "end": start + len(words[at])}

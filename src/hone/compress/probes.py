"""Inputs made of random words, for what has to hold of any text: a conversion that changes nothing, say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.fields import TO_WRITE, Field
from hone.data.turns import ASSISTANT, USER
from hone.tasks.fields import controlled
from hone.tasks.protocol import Columns, Task

PROBES = 64
MOST_WORDS = 24
MOST_TEXTS = 4  # of a value that is several
BEFORE_WORDS = "Ġ▁"  # how vocabularies write the space before a word


def probes(task: Task, *, seed: int) -> Columns:
    """Examples of the task, of random words of the vocabulary, of random lengths; spans are of a word each, attributes
    have values that were learned. Of a task that writes the texts to write are among them, for without any there are no
    scores."""
    shape = controlled(task.shapes()[:1], task.settings)[0]
    written = [field for field in shape.targets if field.kind in TO_WRITE and field.required]
    fields = [*shape.inputs, *(field for field in shape.controls if field.required), *written]
    words = sorted({word.lstrip(BEFORE_WORDS) for word in task.tokenizer.vocabulary()})
    words = [word for word in words if word.isalpha()]
    drawn = np.random.default_rng(seed)
    spans = [field.name for field in fields if field.kind == "span"]
    parts = 12 if any(field.kind == "answered" for field in fields) else 6  # two texts a value, and marks before them
    most = max(len(spans) + 2, min(MOST_WORDS, task.max_tokens // parts))
    columns: dict[str, list[Any]] = {field.name: [] for field in fields}
    for _ in range(PROBES):
        chosen = {
            field.name: [str(word) for word in drawn.choice(words, drawn.integers(len(spans) + 1, most))]
            for field in fields
        }
        for field in fields:
            columns[field.name].append(_value(field, chosen, spans, drawn))
    return columns


def _value(field: Field, chosen: dict[str, list[str]], spans: Sequence[str], drawn: np.random.Generator) -> Any:
    own = chosen[field.name]
    if field.kind == "span":
        words, at = chosen["text"], spans.index(field.name)
        start = sum(len(word) + 1 for word in words[:at])
        return {"start": start, "end": start + len(words[at])}
    if field.kind == "label":
        return str(drawn.choice(field.values)) if field.values else own[0]
    if field.kind == "words":
        return own[:1]
    if field.kind == "answered":
        return [{"role": USER, "text": " ".join(own)}, {"role": ASSISTANT, "text": " ".join(own[::-1])}]
    if field.kind == "texts":
        return own[:MOST_TEXTS]
    return own if field.kind == "tokens" else " ".join(own)

"""What rows of a task that writes come to: how likely the texts are that they have, and the texts that are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hone.predict.engine import Engine, WritingEngine
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.protocol import Task, Writing
from hone.tasks.rows import TARGET, Rows
from hone.tasks.writing_settings import WritingSettings
from hone.tasks.written import Draft, Drafts, reference_of

Score = Callable[[], Sequence[NDArray[np.float32]]]


def write_rows(
    task: Task, engine: Engine, rows: Rows, *, score: Score, done: Callable[[int], None] | None = None
) -> list[Drafts]:
    """What each row came to, in order.

    Args:
        score: Scores of every row's own target, where the rows have them.
        done: Called with the number of rows that were finished each time.
    """
    assert isinstance(task, Writing)
    references: list[Any] = [None] * len(rows)
    if TARGET in rows.table.column_names:
        references = [reference_of(found) for found in score()]
    texts: Sequence[tuple[Draft, ...]] = [()] * len(rows)
    if task.writes:
        texts = _written(task, engine, rows)
    if done is not None:
        done(len(rows))
    return [Drafts(each, reference) for each, reference in zip(texts, references, strict=True)]


def _written(task: Writing, engine: Engine, rows: Rows) -> list[tuple[Draft, ...]]:
    assert isinstance(engine, WritingEngine)
    settings = cast(WritingSettings, cast(Task, task).settings).decoding
    prompts = task.prompts(rows)
    asked = [i for i, prompt in enumerate(prompts) if prompt]  # a whole text has nothing after it
    texts: list[tuple[Draft, ...]] = [()] * len(prompts)
    found = generate(engine.writer, [prompts[i] for i in asked], settings, vocabulary=vocabulary_of(task))
    for i, each in zip(asked, found, strict=True):
        texts[i] = tuple(_draft(one) for one in each)
    return texts


def vocabulary_of(task: Writing) -> Vocabulary:
    """What the tokens of the task's tokenizer mean."""
    return Vocabulary(task.endings, encode=cast(Task, task).tokenizer.encode, decode=task.decoded)


def _draft(one: Written) -> Draft:
    return Draft(one.text or "", len(one.ids), one.score, one.ended)

"""The rows that a task makes of the given texts: what a model reads of them, and what it learns to write."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from hone.data.dataset import Dataset
from hone.data.fields import required
from hone.data.turns import USER, conversations_in
from hone.tasks.encoded import placed
from hone.tasks.fields import choices_of, holds_pairs, shape_of
from hone.tasks.long_text import TextTooLong
from hone.tasks.pairs import over
from hone.tasks.protocol import Purpose, Task
from hone.tasks.rows import OTHER, TARGET

EXAMPLES_AT_ONCE = 4096
TOKENS = ("input_ids", TARGET, OTHER + "input_ids", OTHER + TARGET)


def given_rows(task: Task, data: Mapping[str, Dataset]) -> Iterator[pa.RecordBatch]:
    """Rows of all data sets, some thousand examples at a time: as they are learned from where they hold something to
    learn, and as they are answered where they hold something to answer, and a text is then written or none was there to
    learn. Examples that are too long for a row, where that is refused, make none.

    Raises:
        DataError: Some examples cannot be rows; they are named with file and line.
    """
    for dataset in data.values():
        columns = set(dataset.columns)
        learned = columns.issuperset(required(shape_of(task, columns).fields))
        if learned:
            yield from _portions(over(task, dataset.columns), dataset, "learn", names=dataset.columns)
        if learned and task.says != "text":  # its rows are those that it learns from
            continue
        if names := _read(task, columns):
            yield from _portions(task, _asking(dataset), "predict", names=names)


def tokens_of(rows: pa.RecordBatch) -> list[pa.ListArray]:
    """Those columns of encoded rows that are tokens."""
    return [rows.column(name) for name in TOKENS if name in rows.schema.names]


def _portions(task: Task, dataset: Dataset, purpose: Purpose, *, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for at in range(0, len(dataset), EXAMPLES_AT_ONCE):
        columns = dataset.slice(at, at + EXAMPLES_AT_ONCE)
        given = {name: columns[name] for name in names}
        with placed(dataset):
            try:
                rows = task.encode(given, purpose=purpose, start=at)
            except TextTooLong as error:  # which nobody will have it read
                kept = [i for i in range(min(EXAMPLES_AT_ONCE, len(dataset) - at)) if at + i not in error.lengths]
                rows = task.encode({n: [values[i] for i in kept] for n, values in given.items()}, purpose=purpose)
        yield rows


def _asking(dataset: Dataset) -> Dataset:
    """Of conversations those that end with a question; a data set without any as it is."""
    name = conversations_in(dataset.columns)
    if name is None:
        return dataset
    portions = ((at, dataset.slice(at, at + EXAMPLES_AT_ONCE)) for at in range(0, len(dataset), EXAMPLES_AT_ONCE))
    ends = [at + i for at, columns in portions for i, turns in enumerate(columns[name]) if turns[-1]["role"] == USER]
    return dataset.take(np.array(ends, dtype=np.int64))


def _read(task: Task, columns: Container[str]) -> list[str]:
    """Those of ``columns`` that an answer is to; none where they hold nothing to answer, or two texts of which one is
    better, which rows to learn from hold all of."""
    if holds_pairs(task, columns):
        return []
    for fields in (shape_of(task, columns).given, *choices_of(task)):
        needed = required(fields)
        if needed and all(name in columns for name in needed):
            return [field.name for field in fields if field.name in columns]
    return []

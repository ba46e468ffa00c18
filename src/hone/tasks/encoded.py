"""A dataset's rows, tokenized once: kept in a cache keyed by data, tokenizer and settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from hone.core.errors import DataError
from hone.core.lineage import digest_value
from hone.data.cache import stored
from hone.data.dataset import Dataset
from hone.tasks.faulty import OfExamples
from hone.tasks.protocol import Objective
from hone.tasks.rows import Rows

ENCODING_VERSION = 9  # raised whenever a task's encoding changes


def encoding_key(task: Objective, dataset: Dataset) -> str:
    """Digest of all that a dataset's encoded rows depend on."""
    return digest_value(
        {
            "version": ENCODING_VERSION,
            "data": dataset.digest,
            "tokenizer": task.tokenizer.digest,
            "task": task.name,
            "settings": task.settings.model_dump(mode="json"),
            "labels": task.labels,
            "max_tokens": task.max_tokens,
        }
    )


@contextlib.contextmanager
def placed(dataset: Dataset) -> Iterator[None]:
    """Say of which files and lines of ``dataset`` the examples are that an error is about."""
    try:
        yield
    except DataError as error:
        if not isinstance(error, OfExamples):
            raise
        raise error.placed({index: dataset.place(index) for index in error.examples}) from None


def encoded(task: Objective, dataset: Dataset, *, cache: Path) -> Rows:
    """Encoded rows, targets included, from the cache or made now.

    Raises:
        DataError: Some examples cannot be rows: all of one kind are counted, the first ones named with file and line.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        wrong: list[Any] = []
        for start, stop in dataset.portions():
            try:
                part = task.encode(dataset.slice(start, stop), purpose="learn", start=start)
            except DataError as error:
                if not isinstance(error, OfExamples):
                    raise
                wrong.append(error)
                continue
            if not wrong:
                yield part
        if wrong:
            first, *others = wrong
            alike = [one for one in others if type(one) is type(first)]
            with placed(dataset):
                raise first.among(alike, looked_at=len(dataset))

    return Rows(stored(cache / "rows", encoding_key(task, dataset), pa.schema(list(task.row_schema.items())), batches))

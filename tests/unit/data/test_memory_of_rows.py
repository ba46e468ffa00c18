"""What is looked up, checked, split and gathered holds few bytes a row, however long the rows are."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hone.data import cache, checked, checks, dataset, splits
from hone.data.dataset import Dataset
from hone.data.fields import Field, Kind
from hone.data.read import read
from hone.data.source import Source
from hone.tasks.rows import ROWS_SCHEMA, Rows, rows_of

FEW, MANY = 1_000, 3_000
AT_ONCE = 200
MOST = 100  # bytes a row: hashes, indices and lengths are a few numbers of eight bytes; a text here has 400 characters

Work = Callable[[Dataset], object]
WORKS: dict[str, Work] = {
    "teachable": lambda rows: checks.require_teachable(rows, Field("label", "label")),
    "labels": lambda rows: rows.distinct("label"),
    "sets": lambda rows: (rows.distinct("labels"), checks.label_counts(rows, "labels")),
    "known": lambda rows: checks.require_known_labels(["0", "1", "2"], rows, "label"),
    "duplicates": lambda rows: checks.duplicates(rows, "text"),
    "contradictions": lambda rows: checks.contradictions(rows, "text", target="label"),
    "odd": lambda rows: checks.odd_texts(rows, "text"),
    "longest": lambda rows: rows.longest("text"),
    "taken": lambda rows: rows.take(np.arange(0, len(rows), 2)).slice(0, 10),
    "carved": lambda rows: splits.carve_validation(rows, share=0.1, seed=1, fields=["text"], targets=["label"]),
    "carved-sets": lambda rows: splits.carve_validation(rows, share=0.1, seed=1, fields=["text"], targets=["labels"]),
}


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checked, checks, dataset):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", AT_ONCE)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Dataset]:
    folder = tmp_path_factory.mktemp("rows")
    kinds: dict[str, Kind] = {"text": "text", "label": "label", "labels": "labels"}
    fields = [Field(name, kind) for name, kind in kinds.items()]

    def make(count: int) -> Dataset:
        file = folder / f"{count}.jsonl"
        lines = (
            json.dumps({"text": f"{i} " + "word " * 80, "label": f"{i % 3}", "labels": [f"{i % 5}", f"{i % 7}"]})
            for i in range(count)
        )
        file.write_text("\n".join(lines))
        return read(Source(path=str(file)), fields, name="train", base=folder, cache=folder)

    return make


def most_bytes(work: Callable[[], object]) -> int:
    """The most that ``work`` holds at a time, of Python's and of Arrow's memory."""
    gc.collect()
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


@pytest.mark.parametrize("name", WORKS)
def test_twice_the_rows_take_few_bytes_more(name: str, opened: Callable[[int], Dataset]) -> None:
    few, many = opened(FEW), opened(MANY)
    WORKS[name](few)  # what is imported or cached at the first call is not counted
    grown = most_bytes(lambda: WORKS[name](many)) - most_bytes(lambda: WORKS[name](few))
    assert grown / (MANY - FEW) < MOST


def test_tokens_stay_in_the_file(tmp_path: Path) -> None:
    def parts(count: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, count, AT_ONCE):
            examples = range(start, start + AT_ONCE)
            ids = [[example % 100] * 100 for example in examples]
            columns = {"example": examples, "truncated": [False] * AT_ONCE, "text_tokens": [100] * AT_ONCE}
            yield rows_of({**columns, "input_ids": ids}, ROWS_SCHEMA)

    def gathered(count: int) -> None:
        rows = Rows(cache.stored(tmp_path, str(count), pa.schema(list(ROWS_SCHEMA.items())), lambda: parts(count)))
        assert rows.lists("input_ids").of(np.array([count - 1, 0])).tolist() == [99] * 100 + [0] * 100
        assert rows.counts("input_ids").tolist() == [count] * 100

    for count in (FEW, MANY):
        gathered(count)
    grown = most_bytes(lambda: gathered(MANY)) - most_bytes(lambda: gathered(FEW))
    assert grown / (MANY - FEW) < MOST  # the tokens of a row are 400 bytes

"""Rows are gathered and padded from Arrow columns, whatever chunks they came in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from hone.tasks.rows import ROWS_SCHEMA, SECOND, Rows, padded, rows_of, text_inputs

IDS = [[2, 7, 3], [2, 3], [2, 8, 9, 9, 3]]


def batch(ids: list[list[int]], *, start: int = 0) -> pa.RecordBatch:
    columns = {
        "example": list(range(start, start + len(ids))),
        "truncated": [False] * len(ids),
        "text_tokens": [len(row) for row in ids],
        "input_ids": ids,
    }
    return rows_of(columns, ROWS_SCHEMA)


def test_columns_read_as_arrays() -> None:
    rows = Rows(batch(IDS))
    assert len(rows) == 3
    assert rows.example.tolist() == [0, 1, 2]
    assert rows.lengths.tolist() == [3, 2, 5]
    assert rows.row("input_ids", 2).tolist() == [2, 8, 9, 9, 3]


def test_chunks_and_slices_read_as_one_table() -> None:
    whole = pa.Table.from_batches([batch([[1], *IDS[:1]]), batch(IDS[1:], start=2)]).slice(1)
    rows = Rows(whole)
    assert [rows.row("input_ids", i).tolist() for i in range(3)] == IDS
    assert padded(rows, "input_ids", np.array([1, 0]), fill=0)[0].tolist() == [[2, 3, 0], [2, 7, 3]]


def test_values_are_gathered_across_parts_in_any_order() -> None:
    parts = [batch(IDS[:1]), batch([]), batch([[], *IDS[1:]], start=1), batch([[]], start=4)]
    rows = Rows(pa.Table.from_batches(parts))
    index = np.array([3, 1, 0, 4, 2])
    assert rows.lists("input_ids").of(index).tolist() == [*IDS[2], *IDS[0], *IDS[1]]
    assert rows.flat("input_ids", index).tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
    assert rows.counts("input_ids", size=11).tolist() == [0, 0, 3, 3, 0, 0, 0, 1, 1, 2, 0]


@pytest.mark.parametrize("chunks", [[], [batch([])]])
def test_no_rows_are_rows_too(chunks: list[pa.RecordBatch]) -> None:
    rows = Rows(pa.Table.from_batches(chunks, schema=pa.schema(list(ROWS_SCHEMA.items()))))
    assert len(rows) == 0
    assert rows.lengths.tolist() == []


def test_text_is_padded_behind_and_masked() -> None:
    inputs = text_inputs(Rows(batch(IDS)), np.array([2, 1]), pad_id=77)
    assert inputs["input_ids"].tolist() == [[2, 8, 9, 9, 3], [2, 3, 77, 77, 77]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]


def test_the_second_text_has_type_1_up_to_its_end() -> None:
    with_second = batch(IDS).append_column(SECOND, pa.array([1, 0, 3], type=pa.int64()))
    inputs = text_inputs(Rows(with_second), np.array([2, 1, 0]), pad_id=77)
    assert inputs["token_type_ids"].dtype == inputs["input_ids"].dtype
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]]


def test_rows_that_do_not_tell_have_no_types() -> None:
    assert set(text_inputs(Rows(batch(IDS)), np.array([0]), pad_id=0)) == {"input_ids", "attention_mask"}


def test_items_of_several_values_are_padded_as_items() -> None:
    rows = Rows(batch([[1, 2, 3, 4], [5, 6]]))
    values, mask = padded(rows, "input_ids", np.array([0, 1]), fill=0, per_item=2)
    assert values.tolist() == [[[1, 2], [3, 4]], [[5, 6], [0, 0]]]
    assert mask.tolist() == [[True, True], [True, False]]


def test_rows_without_items_get_one_masked_column() -> None:
    values, mask = padded(Rows(batch([[], []])), "input_ids", np.array([0, 1]), fill=9)
    assert values.tolist() == [[9], [9]]
    assert not mask.any()


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        rows_of({"example": ["one"], "truncated": [False], "input_ids": [[1]]}, ROWS_SCHEMA)

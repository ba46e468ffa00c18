"""`Rows`: encoded, unpadded model inputs, columnar; and how they are padded into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

Batch = dict[str, Tensor]
IntArray = NDArray[np.int64]

SECOND = "second"  # the column that says where a row's second text begins

ROWS_SCHEMA = {
    "example": pa.int64(),
    "truncated": pa.bool_(),
    "text_tokens": pa.int64(),
    "input_ids": pa.list_(pa.int32()),
}


class Rows:
    """Encoded rows over Arrow columns. One example gives one row, or several windows.

    Columns common to all tasks: ``example`` (index of the example each row comes from), ``truncated`` (whether text
    of the example was left out), ``text_tokens`` (tokens of the whole example, special ones included, cut or not; when
    predicting possibly only those that were looked at), ``input_ids`` (special tokens included); a task adds its own.
    One over pairs of texts adds `SECOND`, int64: the index of the first token of type 1, 0 where a row has none.
    """

    def __init__(self, table: pa.Table | pa.RecordBatch) -> None:
        self.table = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        self._ragged: dict[str, tuple[NDArray[np.int32], IntArray]] = {}
        self.example: IntArray = self.scalar("example")
        self.lengths: IntArray = np.diff(self.ragged("input_ids")[1])

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def text_tokens(self) -> IntArray:
        """Tokens of each example's whole text, special ones included, int64 [examples]; 0 for one without rows."""
        out = np.zeros(int(self.example.max(initial=-1)) + 1, dtype=np.int64)
        out[self.example] = self.scalar("text_tokens")
        return out

    def scalar(self, name: str) -> IntArray:
        """A scalar column as int64 [rows]."""
        column = self.table.column(name).combine_chunks()
        values = column.to_numpy(zero_copy_only=False)
        return np.asarray(values, dtype=np.int64)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A scalar column as float64 [rows]."""
        column = self.table.column(name).combine_chunks()
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)

    def ragged(self, name: str) -> tuple[NDArray[np.int32], IntArray]:
        """A list column as flat values int32 and row offsets int64 [rows + 1]."""
        if name not in self._ragged:
            column = self.table.column(name).combine_chunks()
            offsets = np.asarray(column.offsets.to_numpy(), dtype=np.int64)
            values = column.values.to_numpy(zero_copy_only=False)
            self._ragged[name] = (values, offsets)
        return self._ragged[name]

    def flat(self, name: str, index: IntArray) -> IntArray:
        """Where the values of the rows ``index`` stand in the flat values of a list column, row after row."""
        _, offsets = self.ragged(name)
        counts = offsets[index + 1] - offsets[index]
        ends = np.cumsum(counts)
        places: IntArray = np.arange(ends[-1]) + np.repeat(offsets[index] - ends + counts, counts)
        return places

    def row(self, name: str, index: int) -> NDArray[np.int32]:
        """One row of a list column."""
        values, offsets = self.ragged(name)
        return values[offsets[index] : offsets[index + 1]]


def rows_of(columns: Mapping[str, Sequence[object]], schema: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    """A record batch of encoded rows from Python columns."""
    arrays = [pa.array(columns[name], type=kind) for name, kind in schema.items()]
    return pa.RecordBatch.from_arrays(arrays, names=list(schema))


def padded(rows: Rows, name: str, index: IntArray, *, fill: int, per_item: int = 1) -> tuple[Tensor, Tensor]:
    """Gather list column ``name`` of the rows ``index``, at least one, into one padded tensor.

    Args:
        fill: Value of the padding.
        per_item: How many consecutive values make one item.

    Returns:
        values int64 [batch, longest] (or [batch, longest, per_item]) and a bool mask [batch, longest].
    """
    values, offsets = rows.ragged(name)
    lengths = (offsets[index + 1] - offsets[index]) // per_item
    longest = max(1, int(lengths.max()))  # a column even where no row has an item: models cannot read none
    mask = np.arange(longest) < lengths[:, None]
    out = np.full((len(index), longest, per_item), fill, dtype=np.int64)
    out[mask] = values[rows.flat(name, index)].reshape(-1, per_item)
    tensor = torch.from_numpy(out if per_item > 1 else out[:, :, 0])
    return tensor, torch.from_numpy(mask)


def several_texts(rows: Rows, index: IntArray, *, pad_id: int) -> Batch:
    """``input_ids`` and ``attention_mask`` int64 [texts, tokens] of rows that have several texts each, ``lengths`` of
    them in turn, row after row; ``texts`` int64 [rows], how many each row has. Where the rows have ``seconds``, the
    places where the second part of each text begins, ``token_type_ids`` too."""
    values, _ = rows.ragged("input_ids")
    lengths, ends = rows.ragged("lengths")
    flat = rows.flat("lengths", index)
    long = lengths[flat]
    places = np.arange(long.max(initial=1))
    mask = places < long[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = values[rows.flat("input_ids", index)]
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask).long(),
        "texts": torch.from_numpy(np.diff(ends)[index]),
    }
    if "seconds" in rows.table.column_names:
        begins = rows.ragged("seconds")[0][flat]
        batch["token_type_ids"] = torch.from_numpy(mask & (places >= begins[:, None])).long()
    return batch


def text_inputs(rows: Rows, index: IntArray, *, pad_id: int) -> Batch:
    """``input_ids`` and ``attention_mask``, int64 [batch, tokens], of the rows ``index``; where the rows say where a
    second text begins, ``token_type_ids`` too: 1 from there to the row's end, 0 before it and where padded."""
    ids, mask = padded(rows, "input_ids", index, fill=pad_id)
    batch = {"input_ids": ids, "attention_mask": mask.long()}
    if SECOND in rows.table.column_names:
        begins = torch.from_numpy(rows.scalar(SECOND)[index])[:, None]  # [batch, 1]
        second = (torch.arange(ids.shape[1]) >= begins) & (begins > 0) & mask
        batch["token_type_ids"] = second.long()
    return batch

"""`Rows`: encoded, unpadded model inputs, columnar; and how they are padded into a batch."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

Batch = dict[str, Tensor]
IntArray = NDArray[np.int64]

SECOND = "second"  # the column that says where a row's second text begins
SECONDS = "seconds"  # the same of each text of a row that has several
PARTED = "parted"  # as `SECOND`, for a head that reads both apart, whether or not token types tell them apart
TARGET = "target_ids"  # the column of the tokens that a row learns to write
CUT = "cut"  # the column of whether the last text to write of a row is cut at its end
OTHER = "other."  # begins the columns of the second of two texts that a row has

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
    One that reads a row several times adds ``copies``, int64: how often, which `work` counts.
    One over pairs of texts adds `SECOND`, int64: the index of the first token of type 1, 0 where a row has none.
    One whose head reads both texts apart adds `PARTED`, int64: the index of the first token of the second text.
    One that writes adds `TARGET`: the tokens to write, special tokens included; and `CUT`.
    Where each row has two texts to write, it has every column twice, those of the second under `OTHER` and the name.

    Args:
        lengths: Tokens that are read of each row, where these are others than it has; int64 [rows].

    Attributes:
        lengths: Tokens of each row, those to write among them, int64 [rows].
    """

    def __init__(self, table: pa.Table | pa.RecordBatch, *, lengths: IntArray | None = None) -> None:
        self.table = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        self._scalars: dict[str, IntArray] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._lists: dict[str, Lists] = {}
        self.example: IntArray = self.scalar("example")
        own: IntArray = np.sum([np.diff(self.lists(name).offsets) for name in self._tokens], axis=0)
        self.lengths = own if lengths is None else lengths

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def _tokens(self) -> list[str]:
        """Names of the columns of tokens."""
        names = ("input_ids", TARGET, OTHER + "input_ids", OTHER + TARGET)
        return [name for name in names if name in self.table.column_names]

    @cached_property
    def sides(self) -> Rows:
        """Of rows that have two texts each: a row for the first one of each, then one for the second of each."""
        both = [name for name in self.table.column_names if not name.startswith(OTHER)]
        second = self.table.select([OTHER + name for name in both]).rename_columns(both)
        return Rows(pa.concat_tables([self.table.select(both), second]))

    @property
    def work(self) -> IntArray:
        """Tokens that the model reads of each row, int64 [rows]."""
        return self.lengths * self.scalar("copies") if "copies" in self.table.column_names else self.lengths

    def text_tokens(self) -> IntArray:
        """Tokens of each example's whole text, special ones included, int64 [examples]; 0 for one without rows."""
        out = np.zeros(int(self.example.max(initial=-1)) + 1, dtype=np.int64)
        out[self.example] = self.scalar("text_tokens")
        return out

    def scalar(self, name: str) -> IntArray:
        """A scalar column as int64 [rows]."""
        if name not in self._scalars:
            self._scalars[name] = np.asarray(self.table.column(name).to_numpy(), dtype=np.int64)
        return self._scalars[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A scalar column as float64 [rows]."""
        if name not in self._numbers:
            self._numbers[name] = np.asarray(self.table.column(name).to_numpy(), dtype=np.float64)
        return self._numbers[name]

    def lists(self, name: str) -> Lists:
        """A list column."""
        if name not in self._lists:
            self._lists[name] = Lists(self.table.column(name))
        return self._lists[name]

    def counts(self, name: str, *, size: int = 0) -> IntArray:
        """How often each value occurs in a list column whose values are indices, int64 [at least ``size``]."""
        found = np.zeros(size, dtype=np.int64)
        for values in self.lists(name).parts:
            more = np.bincount(values, minlength=len(found))
            more[: len(found)] += found
            found = more
        return found

    def token_counts(self, *, size: int) -> IntArray:
        """How often each token occurs, read or to be written, int64 [at least ``size``]."""
        found = [self.counts(name, size=size) for name in self._tokens]
        longest = max(map(len, found))
        total: IntArray = np.sum([np.pad(each, (0, longest - len(each))) for each in found], axis=0)
        return total

    def flat(self, name: str, index: IntArray) -> IntArray:
        """Where the values of the rows ``index`` stand among all values of a list column, row after row."""
        offsets = self.lists(name).offsets
        return stretches(offsets[index], offsets[index + 1] - offsets[index])

    def row(self, name: str, index: int) -> NDArray[Any]:
        """One row of a list column."""
        return self.lists(name).of(np.array([index]))


class Lists:
    """A list column whose values stay where they lie: in the parts of a memory-mapped file, where it has several.

    Attributes:
        offsets: int64 [rows + 1]; where each row's values begin among all values, and where the last one's end.
        parts: The values of each part, int32 or int64.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = column.chunks
        ends = [np.asarray(chunk.offsets.to_numpy(), dtype=np.int64) for chunk in chunks]
        self.parts: list[NDArray[Any]] = [
            chunk.values.to_numpy(zero_copy_only=False)[end[0] : end[-1]]
            for chunk, end in zip(chunks, ends, strict=True)
        ]
        lengths = np.concatenate([np.diff(end) for end in ends]) if ends else np.zeros(0, dtype=np.int64)
        self.offsets: IntArray = np.concatenate([[0], np.cumsum(lengths)])
        self._begins = np.cumsum([0, *map(len, self.parts)])  # where each part's values begin among all

    def of(self, index: IntArray) -> NDArray[Any]:
        """The values of the rows ``index``, one row's after another's."""
        starts, counts = self.offsets[index], self.offsets[index + 1] - self.offsets[index]
        if len(self.parts) == 1:
            return self.parts[0][stretches(starts, counts)]
        found = np.empty(int(counts.sum()), dtype=self.parts[0].dtype if self.parts else np.int32)
        places = np.cumsum(counts) - counts
        within = np.searchsorted(self._begins, starts, side="right") - 1
        for part in np.unique(within[counts > 0]):
            here = (within == part) & (counts > 0)
            taken = stretches(starts[here] - self._begins[part], counts[here])
            found[stretches(places[here], counts[here])] = self.parts[part][taken]
        return found


def stretches(starts: IntArray, counts: IntArray) -> IntArray:
    """The numbers from each of ``starts`` on, as many as ``counts`` say, one stretch after another, int64."""
    ends = np.cumsum(counts)
    places: IntArray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)
    return places


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
    lists = rows.lists(name)
    lengths = (lists.offsets[index + 1] - lists.offsets[index]) // per_item
    longest = max(1, int(lengths.max()))  # a column even where no row has an item: models cannot read none
    mask = np.arange(longest) < lengths[:, None]
    out = np.full((len(index), longest, per_item), fill, dtype=np.int64)
    out[mask] = lists.of(index).reshape(-1, per_item)
    tensor = torch.from_numpy(out if per_item > 1 else out[:, :, 0])
    return tensor, torch.from_numpy(mask)


def several_texts(rows: Rows, index: IntArray, *, pad_id: int) -> Batch:
    """``input_ids`` and ``attention_mask`` int64 [texts, tokens] of rows that have several texts each, ``lengths`` of
    them in turn, row after row; ``texts`` int64 [rows], how many each row has. Where the rows have ``seconds``, the
    places where the second part of each text begins, ``token_type_ids`` too."""
    lengths = rows.lists("lengths")
    long = lengths.of(index)
    places = np.arange(long.max(initial=1))
    mask = places < long[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = rows.lists("input_ids").of(index)
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask).long(),
        "texts": torch.from_numpy(lengths.offsets[index + 1] - lengths.offsets[index]),
    }
    if SECONDS in rows.table.column_names:
        begins = rows.lists(SECONDS).of(index)
        batch["token_type_ids"] = torch.from_numpy(mask & (places >= begins[:, None])).long()
    return batch


def has_types(schema: Container[str]) -> bool:
    """Whether batches of rows with these columns have ``token_type_ids``."""
    return SECOND in schema or SECONDS in schema


def text_inputs(rows: Rows, index: IntArray, *, pad_id: int) -> Batch:
    """``input_ids`` and ``attention_mask``, int64 [batch, tokens], of the rows ``index``; where the rows say where a
    second text begins, ``token_type_ids`` or ``second_text`` too: 1 from there to the row's end, 0 before it and where
    padded."""
    ids, mask = padded(rows, "input_ids", index, fill=pad_id)
    batch = {"input_ids": ids, "attention_mask": mask.long()}
    for column, entry in ((SECOND, "token_type_ids"), (PARTED, "second_text")):
        if column in rows.table.column_names:
            begins = torch.from_numpy(rows.scalar(column)[index])[:, None]  # [batch, 1]
            batch[entry] = ((torch.arange(ids.shape[1]) >= begins) & (begins > 0) & mask).long()
    return batch

"""Documents as rows: pieces of them, as long as the base reads, which every objective draws its batches from.

A row holds the tokens of its piece without special ones; where an objective wants them, it puts them there. No row has
tokens of two documents, so that no attention crosses from one to another, and positions begin anew in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hone.models.tokenizer import Pieces, Tokenizer
from hone.tasks.long_text import spans
from hone.tasks.objectives.settings import DocumentSettings
from hone.tasks.protocol import Columns, Purpose
from hone.tasks.rows import ROWS_SCHEMA, IntArray, Rows, padded, rows_of
from hone.text.segmenters.segmenter import Segmenter, runs, words_at
from hone.text.units import sentence_starts

TEXT, PAIR = "text", "pair"


class Documents:
    """How documents become rows, and rows padded tensors.

    Attributes:
        room: Most tokens of a piece, which may be read as two texts.
        between: Token ids between two texts; where the tokenizer makes no pairs, what it has after a text.

    Args:
        tokenizer: The base's.
        max_tokens: Most tokens of a row, special ones included.
        segmenter: Says what a word of Chinese is; None: each character.
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, segmenter: Segmenter | None = None) -> None:
        self.settings = DocumentSettings() if segmenter is None else DocumentSettings(segmenter=segmenter.digest)
        self._segmenter = segmenter
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.between = tokenizer.suffix if tokenizer.middle is None else tokenizer.middle
        edges = len(tokenizer.prefix) + len(tokenizer.suffix) + len(self.between)
        self.room = max_tokens - max(2, edges)  # of a decoder: what stands before a text and after it
        self._special = np.array(tokenizer.pretrained.all_special_ids)

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        """Beside what all rows have: ``words``, the number of each token's word, -1 where it is never hidden;
        ``sentences``, the tokens that begin one; ``first`` and ``last``, whether the piece begins and ends its
        document; ``pair``, the tokens of the same in other words, none where there is no such text, and ``unpaired``,
        whether there is one that is left out."""
        numbers = dict.fromkeys(("words", "sentences", PAIR), pa.list_(pa.int32()))
        return {**ROWS_SCHEMA, **numbers, **dict.fromkeys(("first", "last", "unpaired"), pa.bool_())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """Rows of the documents in the column `TEXT`, and of what `PAIR` has beside them where there is one."""
        out: dict[str, list[Any]] = {name: [] for name in self.row_schema}
        texts, encoded = columns[TEXT], self.tokenizer.encode_pieces(columns[TEXT])
        pairs = self.tokenizer.encode(columns[PAIR]) if any(columns.get(PAIR, ())) else [[]] * len(texts)
        for at, (text, pieces, pair) in enumerate(zip(texts, encoded, pairs, strict=True)):
            for row in self._rows(text, pieces, pair):
                for name, value in {"example": start + at, "truncated": False, **row}.items():
                    out[name].append(value)
        return rows_of(out, self.row_schema)

    def _rows(self, text: str, pieces: Pieces, pair: Sequence[int]) -> Iterator[Mapping[str, Any]]:
        ids, words = np.array(pieces.ids, dtype=np.int64), np.array(pieces.words, dtype=np.int64)
        if not len(ids):
            return
        places = np.array([place for place, _ in pieces.places], dtype=np.int64)
        joined = _joined(words, self._segments(text)[places])
        words = np.where(np.isin(ids, self._special) | (words < 0), -1, joined)
        begins = np.unique(np.searchsorted(places, sentence_starts(text)))
        fits = max(len(ids), len(pair)) <= self.room  # nobody knows which piece of it says what a piece says
        for begin, end in spans(len(ids), room=self.room, stride=0):
            here = begins[(begins >= begin) & (begins < end)] - begin
            yield {
                "text_tokens": len(ids),
                "input_ids": ids[begin:end],
                "words": words[begin:end],
                "sentences": np.union1d([0], here),
                "first": begin == 0,
                "last": end == len(ids),
                PAIR: pair if fits else [],
                "unpaired": len(pair) > 0 and not fits,
            }

    def _segments(self, text: str) -> IntArray:
        """Of each character of a text the number of its word of Chinese, -1 outside of any, and last of the place
        behind them, where some tokenizers have blanks at the end: int64 [characters + 1]."""
        if self._segmenter is not None:
            return np.array([*words_at(text, self._segmenter), -1], dtype=np.int64)
        found = np.full(len(text) + 1, -1, dtype=np.int64)
        for begin, run in runs(text):  # a tokenizer may take a whole clause for one word
            found[begin : begin + len(run)] = np.arange(begin, begin + len(run))
        return found

    def framed(self, rows: Rows, index: IntArray) -> tuple[Tensor, Tensor]:
        """The rows ``index`` with the special tokens that stand around a text: ``input_ids`` int64 [batch, tokens] and
        a bool mask of that shape."""
        return self.padded([self.framed_text(piece.tolist()) for piece in self.pieces(rows, index)])

    def framed_text(self, ids: Sequence[int]) -> list[int]:
        """A text's tokens with the special ones around it."""
        return [*self.tokenizer.prefix, *ids, *self.tokenizer.suffix]

    def inside(self, rows: Rows, index: IntArray, name: str, *, fill: int) -> IntArray:
        """What a list column says of each token, beside `framed`: int64 [batch, tokens], ``fill`` elsewhere."""
        values, _ = padded(rows, name, index, fill=fill)
        edges = len(self.tokenizer.prefix), len(self.tokenizer.suffix)
        return np.pad(values.numpy(), ((0, 0), edges), constant_values=fill)

    @staticmethod
    def pieces(rows: Rows, index: IntArray, name: str = "input_ids") -> list[IntArray]:
        """A list column of the rows ``index``, one array a row."""
        lists = rows.lists(name)
        counts = lists.offsets[index + 1] - lists.offsets[index]
        return np.split(lists.of(index).astype(np.int64), np.cumsum(counts)[:-1])

    def padded(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token ids int64 [batch, tokens] and a bool mask."""
        lengths = np.array([len(text) for text in texts])
        real = np.arange(lengths.max(initial=1)) < lengths[:, None]
        ids = np.full(real.shape, self.tokenizer.pad_id, dtype=np.int64)
        ids[real] = np.fromiter(itertools.chain.from_iterable(texts), dtype=np.int64, count=int(lengths.sum()))
        return torch.from_numpy(ids), torch.from_numpy(real)


def _joined(words: IntArray, segments: IntArray) -> IntArray:
    """The number of each token's word where Chinese characters make words: those of one segment are one, int64
    [tokens].

    Args:
        words: The tokenizer's, int64 [tokens].
        segments: The number of the segment that a token begins in, -1 outside of any.
    """
    own = np.where(segments >= 0, segments, words)
    changes = (own[1:] != own[:-1]) | ((segments[1:] >= 0) != (segments[:-1] >= 0))
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)

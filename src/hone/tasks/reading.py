"""How a text, or a pair of texts, becomes rows, and how rows' numbers become one answer an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hone.core.errors import BundleError
from hone.models.tokenizer import Tokenizer
from hone.tasks.long_text import encode_beginning, refuse_long, row_limit, spans
from hone.tasks.protocol import Columns, FloatArray, Purpose
from hone.tasks.rows import PARTED, ROWS_SCHEMA, SECOND, Batch, IntArray, Rows, text_inputs
from hone.tasks.settings import TextSettings

FAR = 50_000  # characters of a text that is first read in part where its end would be cut anyway
BETWEEN = " ‖ "  # the two texts of a pair, where a person reads them


class Reading:
    """Reads the text fields ``fields``, one or two, in rows of ``max_tokens`` tokens at most.

    Args:
        settings: What becomes of long texts; a pair is cut or refused, never windowed.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
        fields: Names of the columns.
        apart: Whether the head reads two texts apart.

    Raises:
        BundleError: There are two, and the tokenizer has no form for pairs.
    """

    def __init__(
        self,
        settings: TextSettings,
        *,
        tokenizer: Tokenizer,
        model_limit: int,
        fields: Sequence[str],
        apart: bool = False,
    ) -> None:
        self.settings, self.tokenizer, self.fields = settings, tokenizer, tuple(fields)
        self.max_tokens = row_limit(settings, tokenizer, model_limit=model_limit)
        self._pair = len(self.fields) == 2
        if self._pair and tokenizer.middle is None:
            raise BundleError(
                "the base's tokenizer has no form for pairs of texts",
                expected="a tokenizer with special tokens between two texts, as BERT's and RoBERTa's",
                fix="Take another base for this task.",
                code="base.no-pairs",
            )
        self._middle: list[int] = (tokenizer.middle or []) if self._pair else []
        self._begins = [name for name, wanted in ((SECOND, tokenizer.types), (PARTED, apart)) if self._pair and wanted]
        self._special = len(tokenizer.prefix) + len(self._middle) + len(tokenizer.suffix)
        self._room = self.max_tokens - self._special

    @property
    def schema(self) -> dict[str, pa.DataType]:
        """Columns of the rows."""
        return {**ROWS_SCHEMA, **dict.fromkeys(self._begins, pa.int64())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int) -> dict[str, list[Any]]:
        """Columns of `schema` of the examples' rows, at least one each; ``start`` is the index of the first example.

        Raises:
            TextTooLong: Some are longer than a row, and ``long_text`` is ``refuse``.
        """
        out: dict[str, list[Any]] = {name: [] for name in self.schema}
        read = [self._tokens(columns[name], purpose=purpose) for name in self.fields]
        counts = [sum(map(len, texts)) for texts in zip(*read, strict=True)]
        if self.settings.long_text == "refuse":
            refuse_long({start + i: n for i, n in enumerate(counts) if n > self._room}, room=self._room)
        for i, texts in enumerate(zip(*read, strict=True)):
            cut = self.settings.long_text == "truncate" and counts[i] > self._room
            for row in self._rows(texts, cut=cut):
                out["example"].append(start + i)
                out["truncated"].append(cut)
                out["text_tokens"].append(self._special + counts[i])
                self._lay(row, out)
        return out

    def _rows(self, texts: Sequence[list[int]], *, cut: bool) -> list[Sequence[list[int]]]:
        if self._pair:
            return [cut_pair(*texts, room=self._room) if cut else texts]
        windows = spans(len(texts[0]), room=self._room, stride=self.settings.stride)
        return [[texts[0][begin:end]] for begin, end in (windows[:1] if cut else windows)]

    def _lay(self, texts: Sequence[list[int]], out: dict[str, list[Any]]) -> None:
        ids = [*self.tokenizer.prefix, *texts[0]]
        if self._pair:
            ids += self._middle
            for name in self._begins:
                out[name].append(len(ids))
            ids += texts[1]
        out["input_ids"].append(ids + self.tokenizer.suffix)

    def _tokens(self, texts: Sequence[str], *, purpose: Purpose) -> list[list[int]]:
        """Token ids of each text; when predicting, of a very long one that will be cut just more than a row. One that
        stands there several times, as a question beside each of its choices, is read once."""
        once = list(dict.fromkeys(texts))
        read = dict(zip(once, self._tokens_of(once, purpose=purpose), strict=True))
        return [read[text] for text in texts]

    def _tokens_of(self, texts: Sequence[str], *, purpose: Purpose) -> list[list[int]]:
        if self.settings.long_text == "truncate" and purpose == "predict":
            far = [len(text) > FAR for text in texts]
            ids = self.tokenizer.encode(["" if skip else text for text, skip in zip(texts, far, strict=True)])
            return [
                encode_beginning(self.tokenizer, text, room=self._room) if skip else row
                for text, row, skip in zip(texts, ids, far, strict=True)
            ]
        return self.tokenizer.encode(texts)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """Pad the rows ``index`` into one batch."""
        return text_inputs(rows, index, pad_id=self.tokenizer.pad_id)

    def shown(self, columns: Mapping[str, Sequence[str]]) -> list[str]:
        """Each example's input as a person reads it."""
        return [BETWEEN.join(texts) for texts in zip(*(columns[name] for name in self.fields), strict=True)]


def joined(rows: Rows, values: NDArray[np.floating[Any]]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Of ``values`` [rows, k] one row an example, float64 [examples, k], windows' mean weighted by their tokens; and
    whether text of it was cut off, bool [examples]. There is at least one row."""
    example = rows.example - rows.example[0]
    count = int(example[-1]) + 1
    out = np.asarray(values, dtype=np.float64)
    if count < len(rows):
        weight = rows.lengths.astype(np.float64)
        summed = np.zeros((count, out.shape[1]))
        np.add.at(summed, example, out * weight[:, None])
        out = summed / np.bincount(example, weights=weight)[:, None]
    cut = np.zeros(count, dtype=bool)
    cut[example] = rows.scalar("truncated").astype(bool)
    return out, cut


def cut_pair(one: list[int], other: list[int], *, room: int) -> tuple[list[int], list[int]]:
    """Both cut at their ends to ``room`` tokens together, the longer one first."""
    half = room // 2
    if len(one) <= half:
        return one, other[: room - len(one)]
    if len(other) <= half:
        return one[: room - len(other)], other
    return one[: room - half], other[:half]

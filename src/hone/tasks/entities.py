"""How a text with labeled stretches becomes rows: the tokens of each window, and which stretches have labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from hone.models.tokenizer import Tokenizer
from hone.tasks.long_text import refuse_long, spans
from hone.tasks.protocol import Columns, Purpose
from hone.tasks.reading import Reading
from hone.tasks.rows import Batch, IntArray, Rows, padded
from hone.tasks.settings import TextSettings

LOST = "lost"  # column of rows to learn from
Places = NDArray[np.int32]  # [tokens, 2]: where each token stands in its text, in characters, end exclusive


class EntityReading(Reading):
    """Reads ``text``. A row has ``spans``, the places of its tokens, and to learn from ``entities``, three numbers
    each: label, first and last token. ``lost`` counts, on an example's first row, entities that no row holds whole."""

    def __init__(self, settings: TextSettings, *, tokenizer: Tokenizer, model_limit: int) -> None:
        super().__init__(settings, tokenizer=tokenizer, model_limit=model_limit, fields=["text"])

    @property
    def schema(self) -> dict[str, pa.DataType]:
        return {**super().schema, "spans": pa.list_(pa.int32())}

    @property
    def learned(self) -> dict[str, pa.DataType]:
        """Columns of rows to learn from, beside `schema`."""
        return {"entities": pa.list_(pa.int32()), LOST: pa.int64()}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in self.schema}
        texts = self.tokenizer.encode_spans(columns["text"])
        if self.settings.long_text == "refuse":
            long = {start + i: len(ids) for i, (ids, _) in enumerate(texts) if len(ids) > self._room}
            refuse_long(long, room=self._room)
        for i, (ids, ends) in enumerate(texts):
            places = np.array(ends, dtype=np.int32).reshape(-1, 2)
            windows = spans(len(ids), room=self._room, stride=self.settings.stride)
            cut = self.settings.long_text == "truncate" and len(windows) > 1
            for first, end in windows[:1] if cut else windows:
                out["example"].append(start + i)
                out["truncated"].append(cut)
                out["text_tokens"].append(self._special + len(ids))
                out["input_ids"].append([*self.tokenizer.prefix, *ids[first:end], *self.tokenizer.suffix])
                out["spans"].append(places[first:end].ravel())
        return out

    def entities(
        self, out: Mapping[str, Sequence[Any]], columns: Columns, *, ids: Mapping[str, int], start: int
    ) -> dict[str, list[Any]]:
        """The columns `learned` of the rows ``out``."""
        found: dict[str, list[Any]] = {"entities": [], LOST: []}
        rows: dict[int, list[int]] = {}
        for row, example in enumerate(out["example"]):
            rows.setdefault(example - start, []).append(row)
        for i, own in rows.items():
            entities, held = columns["entities"][i], set[int]()
            for row in own:
                triples = []
                for number, entity in enumerate(entities):
                    if (place := located(entity, out["spans"][row].reshape(-1, 2), columns["text"][i])) is not None:
                        triples += [ids[entity["label"]], *place]
                        held.add(number)
                found["entities"].append(triples)
            found[LOST] += [len(entities) - len(held), *[0] * (len(own) - 1)]
        return found

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = super().collate(rows, index)
        _, there = padded(rows, "spans", index, fill=0, per_item=2)
        places = torch.arange(len(self.tokenizer.prefix), len(self.tokenizer.prefix) + there.shape[1])
        batch |= {"word_positions": places.where(there, 0), "word_mask": there}
        if "entities" in rows.table.column_names:
            batch["entities"], batch["entity_mask"] = padded(rows, "entities", index, fill=0, per_item=3)
        return batch


def located(entity: Mapping[str, Any], places: Places, text: str) -> tuple[int, int] | None:
    """First and last of the tokens at ``places`` that are an entity of ``text``, blanks at the ends of both aside; None
    where it begins or ends within a token, does not lie wholly among them, or is nothing but blanks."""
    start, stop = trimmed(text, entity["start"], entity["end"])
    first = int(np.searchsorted(places[:, 1], start, side="right"))
    last = int(np.searchsorted(places[:, 0], stop, side="left")) - 1
    if start >= stop or not first <= last < len(places):
        return None
    begin, end = int(places[first, 0]), int(places[last, 1])
    if begin > start or end < stop:
        return None
    blank = not text[begin:start].strip() and not text[stop:end].strip()
    return (first, last) if blank else None


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The ends of a stretch without the blanks at them, which some tokenizers count to their tokens and some people to
    their entities."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())

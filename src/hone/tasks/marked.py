"""How a text with two marked spans becomes a row: markers stand before and after each span.

The markers are punctuation that every vocabulary has, so a base needs no new tokens (Zhou and Chen 2022 found such
markers as good): ``@`` about the head, ``#`` about the tail. Of a text that is too long, what is kept is what lies
nearest to the spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from hone.models.tokenizer import Tokenizer
from hone.tasks.long_text import refuse_long
from hone.tasks.protocol import Columns, Purpose
from hone.tasks.reading import Reading, cut_pair
from hone.tasks.rows import Batch, IntArray, Rows
from hone.tasks.settings import TextSettings

MARKS = ("@", "#")  # of head and tail
CHARACTERS_READ = 20_000  # of the text before the first span, and after the last one, at first
AT_A_CUT = 8  # tokens at most that a cut within a word changes
Part = list[int]


class MarkedReading(Reading):
    """Reads ``text`` with the spans ``head`` and ``tail``."""

    def __init__(self, settings: TextSettings, *, tokenizer: Tokenizer, model_limit: int) -> None:
        super().__init__(settings, tokenizer=tokenizer, model_limit=model_limit, fields=["text"])
        self._marks = tokenizer.encode(MARKS)

    @property
    def schema(self) -> dict[str, pa.DataType]:
        return {**super().schema, "head_marker": pa.int64(), "tail_marker": pa.int64()}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in self.schema}
        long: dict[int, int] = {}
        examples = zip(columns["text"], columns["head"], columns["tail"], strict=True)
        for i, (text, head, tail) in enumerate(examples):
            swapped = head["start"] > tail["start"]
            spans = (tail, head) if swapped else (head, tail)
            parts = self._parts(text, spans)
            marks = [self._marks[1], self._marks[0]] if swapped else self._marks
            whole = sum(map(len, parts)) + 2 * sum(map(len, marks))
            if whole > self._room:
                long[start + i] = whole
            kept = fitted(parts, room=self._room - 2 * sum(map(len, marks)))
            ids, places = self._laid(kept, marks)
            out["example"].append(start + i)
            out["truncated"].append(whole > self._room)
            out["text_tokens"].append(self._special + whole)
            out["input_ids"].append(ids)
            out["head_marker"].append(places[swapped])
            out["tail_marker"].append(places[not swapped])
        if self.settings.long_text == "refuse":
            refuse_long(long, room=self._room)
        return out

    def _parts(self, text: str, spans: Sequence[Mapping[str, int]]) -> list[Part]:
        """The tokens before, within, between and after two spans; of what is far from them at least more than fits, so
        that a text of which some is skipped counts as too long."""
        far, enough = CHARACTERS_READ, self._room + AT_A_CUT
        while True:
            parts = self.tokenizer.encode(_pieces(text, spans, far=far))
            all_before, all_after = spans[0]["start"] <= far, len(text) - spans[1]["end"] <= far
            if (all_before or len(parts[0]) > enough) and (all_after or len(parts[-1]) > enough):
                return parts
            far *= 4

    def _laid(self, parts: Sequence[Part], marks: Sequence[Part]) -> tuple[list[int], list[int]]:
        """The row, and where the marker before each span begins, in the order of the text."""
        before, first, between, second, after = parts
        ids = [*self.tokenizer.prefix, *before]
        places = [len(ids)]
        ids += [*marks[0], *first, *marks[0], *between]
        places.append(len(ids))
        return [*ids, *marks[1], *second, *marks[1], *after, *self.tokenizer.suffix], places

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = super().collate(rows, index)
        places = [torch.from_numpy(rows.scalar(name)[index]) for name in ("head_marker", "tail_marker")]
        return {**batch, "marker_positions": torch.stack(places, dim=1)}

    def shown(self, columns: Mapping[str, Sequence[Any]]) -> list[str]:
        """The text with its spans in brackets, ``[1 ...]`` the head and ``[2 ...]`` the tail."""
        return [
            _bracketed(text, {1: head, 2: tail})
            for text, head, tail in zip(columns["text"], columns["head"], columns["tail"], strict=True)
        ]


def _pieces(text: str, spans: Sequence[Mapping[str, int]], *, far: int) -> list[str]:
    """The text before, within, between and after two spans, before and after them no more than ``far`` characters."""
    (a, b), (c, d) = ((span["start"], span["end"]) for span in spans)
    return [text[max(0, a - far) : a], text[a:b], text[b:c], text[c:d], text[d : d + far]]


def fitted(parts: Sequence[Part], *, room: int) -> list[Part]:
    """The parts before, within, between and after two spans, cut to ``room`` tokens together.

    First goes what is far from the spans, evenly on both sides; then the middle of what lies between them; and where
    not even the spans fit, the ends of the longer one.
    """
    before, first, between, second, after = parts
    spare = room - len(first) - len(between) - len(second)
    if spare >= 0:
        left = min(len(before), max(spare - len(after), (spare + 1) // 2))
        return [before[len(before) - left :], first, between, second, after[: spare - left]]
    spare += len(between)
    if spare >= 0:
        head = (spare + 1) // 2
        tail = spare - head
        return [[], first, between[:head] + between[len(between) - tail :], second, []]
    first, second = cut_pair(first, second, room=room)
    return [[], first, [], second, []]


def _bracketed(text: str, spans: Mapping[int, Mapping[str, int]]) -> str:
    for number, span in sorted(spans.items(), key=lambda item: -item[1]["start"]):
        text = f"{text[: span['start']]}[{number} {text[span['start'] : span['end']]}]{text[span['end'] :]}"
    return text

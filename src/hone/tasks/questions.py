"""How a question and its context become rows: the question before each window of the context."""

from __future__ import annotations

import copy
from typing import Any, Self

import pyarrow as pa

from hone.models.tokenizer import Tokenizer
from hone.tasks.long_text import TextTooLong, refuse_long, refuse_much, spanned, spans
from hone.tasks.protocol import Columns, Purpose
from hone.tasks.reading import Reading
from hone.tasks.rows import SECOND, Batch, IntArray, Rows, padded
from hone.tasks.settings import QuestionAnsweringSettings

LEAST_ROOM = 8  # tokens of a context beside its question
LOST_ANSWERS, LONG_ANSWERS = "lost_answers", "long_answers"  # columns of rows to learn from


class QuestionTooLong(TextTooLong):
    """Questions that leave no room for a context."""

    what = "questions leave no room for their context in a row"
    field = "question"
    fix = "Shorten them, or raise max_length."


class QuestionReading(Reading):
    """Reads ``question`` and ``context``; a row's places are the first token, which stands for no answer, and the
    context's tokens."""

    def __init__(self, settings: QuestionAnsweringSettings, *, tokenizer: Tokenizer, model_limit: int) -> None:
        super().__init__(settings, tokenizer=tokenizer, model_limit=model_limit, fields=["question", "context"])
        self._most_tokens: int | None = None

    def within(self, most_tokens: int) -> Self:
        """See `hone.tasks.protocol.Repeating`."""
        other = copy.copy(self)
        other._most_tokens = most_tokens
        return other

    @property
    def schema(self) -> dict[str, pa.DataType]:
        return {**super().schema, "places": pa.list_(pa.int32()), "spans": pa.list_(pa.int32())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in self.schema}
        questions = self.tokenizer.encode(columns["question"])
        contexts = self.tokenizer.encode_spans(columns["context"])
        self._require_room({start + i: len(ids) for i, ids in enumerate(questions)})
        if self.settings.long_text == "refuse":
            both = (len(q) + len(ids) for q, (ids, _) in zip(questions, contexts, strict=True))
            refuse_long({start + i: n for i, n in enumerate(both) if n > self._room}, room=self._room)
        refuse_much(sum(map(self._tokens_to_read, questions, contexts)), most=self._most_tokens)
        for i, (question, (ids, ends)) in enumerate(zip(questions, contexts, strict=True)):
            for first, last in spans(len(ids), room=self._room - len(question), stride=self.settings.stride):
                self._row(question, ids[first:last], out)
                out["example"].append(start + i)
                out["truncated"].append(False)
                out["text_tokens"].append(self._special + len(question) + len(ids))
                out["spans"].append([place for pair in ends[first:last] for place in pair])
        return out

    def _tokens_to_read(self, question: list[int], context: tuple[list[int], list[tuple[int, int]]]) -> int:
        room, length = self._room - len(question), len(context[0])
        windows, tokens = spanned(length, room=room, stride=self.settings.stride)
        return windows * (self._special + len(question)) + tokens

    def _require_room(self, lengths: dict[int, int]) -> None:
        room = self._room - LEAST_ROOM
        long = {i: n for i, n in lengths.items() if n > room}
        if long:
            raise QuestionTooLong(long, room=room)

    def _row(self, question: list[int], window: list[int], out: dict[str, list[Any]]) -> None:
        ids = [*self.tokenizer.prefix, *question, *self._middle]
        out["places"].append([0, *range(len(ids), len(ids) + len(window))])
        if SECOND in self._begins:
            out[SECOND].append(len(ids))
        out["input_ids"].append([*ids, *window, *self.tokenizer.suffix])

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = super().collate(rows, index)
        places, there = padded(rows, "places", index, fill=0)
        return {**batch, "answer_positions": places, "answer_mask": there}

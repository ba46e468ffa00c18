"""``text-generation``: going on with a text, by a model that reads what it writes.

Rows are whole texts (``text``), or a ``prompt`` and the ``text`` that comes after it; only the latter is learned. A
text that is longer than a row is read in windows that share ``stride`` tokens, and each of its tokens is told once,
from as many tokens before it as its window has. A prediction is that of `hone.tasks.written`, of the text that comes
after the prompt; a whole text has nothing after it, so it is told how likely it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.models.heads import HeadSpec
from hone.models.tokenizer import Tokenizer
from hone.tasks.long_text import TextTooLong, row_limit, spans
from hone.tasks.protocol import Columns, FloatArray, Prediction, Purpose
from hone.tasks.rows import ROWS_SCHEMA, TARGET, Batch, IntArray, Rows, padded, rows_of
from hone.tasks.writing_settings import TextGenerationSettings
from hone.tasks.written import Drafts, TargetTooLong, WrittenText
from hone.tasks.written_scores import Continued, Kept, Likelihood, Part


class ContinuationTooLong(TargetTooLong):
    """The same of texts that come after a prompt."""

    field = "text"


class TextGeneration(WrittenText):
    """The text that comes after a prompt.

    Args:
        settings: The task's settings.
        labels: Always none: what is told are tokens of the base's vocabulary.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads, those that it writes among them.
    """

    name = "text-generation"
    inputs = (Field("prompt", "text", required=False),)
    input_choices = ((Field("prompt", "text"),),)
    targets = (Field("text", "written"),)
    main_measure = "perplexity"
    measure_specs: Mapping[str, MeasureSpec] = {**Likelihood.specs, **Continued.specs, **Kept.specs}

    def __init__(
        self, settings: TextGenerationSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer, model_limit=model_limit)
        self.max_tokens = row_limit(settings, tokenizer, model_limit=model_limit)
        self.head = HeadSpec("causal-language-model", labels)
        self._begin: list[int] = tokenizer.prefix or ([] if tokenizer.bos_id is None else [tokenizer.bos_id])
        self._most = min(self._most, self.max_tokens - len(self._begin) - 1)

    @property
    def _input_schema(self) -> dict[str, pa.DataType]:
        return {**ROWS_SCHEMA, "prompted": pa.bool_()}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._input_schema, TARGET: pa.list_(pa.int32())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`. ``prompted`` is whether a row has a prompt, which something comes after; ``input_ids`` are
        the tokens of it, or of the window of a whole text that were told already."""
        out: dict[str, list[Any]] = {name: [] for name in self.row_schema}
        prompts = self.tokenizer.encode(columns["prompt"]) if "prompt" in columns else None
        if purpose == "predict":
            assert prompts is not None
            room = self.max_tokens - min(self.settings.decoding.max_new_tokens, self.max_tokens // 2)
            self._require_room(prompts, [room] * len(prompts), start=start)
            for i, ids in enumerate(prompts):
                self._add(out, start + i, prompt=ids, room=room)
            return rows_of(out, self._input_schema)
        texts = [[*ids, *self.endings[:1]] for ids in self.tokenizer.encode(columns["text"])]
        if prompts is None:
            for i, ids in enumerate(texts):
                self._add_windows(out, start + i, ids)
            return rows_of(out, self.row_schema)
        long = {start + i: len(ids) for i, ids in enumerate(texts) if len(ids) > self._most}
        if long and self.settings.long_target == "refuse":
            raise ContinuationTooLong(long, room=self._most)
        texts = [ids[: self._most] for ids in texts]
        self._require_room(prompts, [self.max_tokens - len(ids) for ids in texts], start=start)
        for i, (prompt, ids) in enumerate(zip(prompts, texts, strict=True)):
            self._add(out, start + i, prompt=prompt, room=self.max_tokens - len(ids))
            out[TARGET].append(ids)
        return rows_of(out, self.row_schema)

    def _require_room(self, prompts: Sequence[Sequence[int]], rooms: Sequence[int], *, start: int) -> None:
        lengths = [len(self._begin) + len(prompt) for prompt in prompts]
        long = {start + i: n for i, (n, room) in enumerate(zip(lengths, rooms, strict=True)) if n > room}
        if long and self.settings.long_text == "refuse":
            raise TextTooLong(long, room=min(rooms))

    def _add(self, out: dict[str, list[Any]], example: int, *, prompt: Sequence[int], room: int) -> None:
        """The input of a row: of a prompt its end, which is next to what comes after it."""
        whole = len(self._begin) + len(prompt)
        kept = prompt[max(0, whole - room) :]
        out["example"].append(example)
        out["truncated"].append(whole > room)
        out["text_tokens"].append(whole)
        out["input_ids"].append([*self._begin, *kept])
        out["prompted"].append(True)

    def _add_windows(self, out: dict[str, list[Any]], example: int, text: Sequence[int]) -> None:
        ids, done = [*self._begin, *text], len(self._begin)
        for begin, end in spans(len(ids), room=self.max_tokens, stride=self.settings.stride):
            out["example"].append(example)
            out["truncated"].append(False)
            out["text_tokens"].append(len(ids))
            out["input_ids"].append(ids[begin:done])
            out["prompted"].append(False)
            out[TARGET].append(ids[done:end])
            done = end

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [batch, tokens], of rows to learn from what is learned after what
        is read; of these also ``target_places`` int64 [n, 2], each before a token to learn, ``gold`` int64 [n], that
        token, and ``counts`` int64 [batch]."""
        if TARGET not in rows.table.column_names:
            ids, mask = padded(rows, "input_ids", index, fill=self.tokenizer.pad_id)
            return {"input_ids": ids, "attention_mask": mask.long()}
        read, told = (rows.lists(name) for name in ("input_ids", TARGET))
        before = (read.offsets[index + 1] - read.offsets[index])[:, None]
        whole = before + (told.offsets[index + 1] - told.offsets[index])[:, None]
        place = np.arange(whole.max())
        out = np.full((len(index), len(place)), self.tokenizer.pad_id, dtype=np.int64)
        out[place < before] = read.of(index)
        out[(place >= before) & (place < whole)] = told.of(index)
        asked = (place >= np.maximum(before - 1, 0)) & (place < whole - 1)
        at = np.argwhere(asked)
        return {
            "input_ids": torch.from_numpy(out),
            "attention_mask": torch.from_numpy(place < whole).long(),
            "target_places": torch.from_numpy(at),
            "gold": torch.from_numpy(out[at[:, 0], at[:, 1] + 1]),
            "counts": torch.from_numpy(asked.sum(1)),
        }

    def prompts(self, rows: Rows) -> list[list[int] | None]:
        """See `Writing.prompts`: none of a whole text, which has nothing after it."""
        asked = rows.scalar("prompted").astype(bool).tolist()
        return [rows.row("input_ids", i).tolist() if yes else None for i, yes in enumerate(asked)]

    def join(
        self, columns: Columns, rows: Rows, partials: Sequence[Drafts], *, constants: Mapping[str, Tensor]
    ) -> list[Prediction]:
        if not len(rows):
            return []
        cut = rows.scalar("truncated").astype(bool).tolist()
        found: list[Prediction] = []
        for example, drafts, was in zip((rows.example - rows.example[0]).tolist(), partials, cut, strict=True):
            one = self._prediction(drafts, truncated=was)
            if example == len(found):
                found.append(one)
            else:  # another window of the same text
                for name in ("reference_log_probability", "reference_tokens", "reference_right"):
                    found[-1][name] += one[name]
        return found

    def shown(self, columns: Columns) -> list[str]:
        return list(columns["prompt"] if "prompt" in columns else columns["text"])

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return (Continued(),)

    def quality(self, tally: FloatArray) -> float | None:
        """What the perplexity of a text would be the inverse of."""
        value = self.measures(tally)["perplexity"]
        return None if value is None else 1.0 / value

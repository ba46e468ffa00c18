"""``text-generation``: going on with a text, by a model that reads what it writes.

Rows are whole texts (``text``), or a ``prompt`` and the ``text`` that comes after it; only the latter is learned. A
text that is longer than a row is read in windows that share ``stride`` tokens, and each of its tokens is told once,
from as many tokens before it as its window has. Or they are conversations (``messages``), of which the assistant's
turns are learned (`hone.tasks.conversation`).

A prediction is that of `hone.tasks.written`, of the text that comes after the prompt, or of the next answer; a whole
text has nothing after it, so it is told how likely it is. Of a conversation whose answers are known each is written,
from what was said before it: ``answers`` has all of them, the last is the prediction.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hone.core.errors import DataError
from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field, Shape
from hone.data.turns import ASSISTANT, answers_of, asked, conversations_in
from hone.metrics.bleu import Bleu, Chrf
from hone.models.chat import ChatFormat, chat_format, knows_conversations
from hone.models.heads import HeadSpec
from hone.models.tokenizer import Tokenizer
from hone.tasks.answers import add_row, as_read
from hone.tasks.controls import ControlsTooLong, add_words, control_texts, require_values, with_control
from hone.tasks.conversation import Passage, Room, to_answer, to_learn, unusable, with_system
from hone.tasks.long_text import TextTooLong, row_limit, spans
from hone.tasks.protocol import Columns, FloatArray, Prediction, Purpose
from hone.tasks.rows import CUT, ROWS_SCHEMA, TARGET, Batch, IntArray, Rows, padded, rows_of, stretches
from hone.tasks.writing_settings import TextGenerationSettings
from hone.tasks.written import WORDS_SCHEMA, Drafts, TargetTooLong, WrittenText, bleu_tokenizer_of, targets_cut
from hone.tasks.written_scores import Continued, Kept, Likelihood, Matched, Part, Referred, each_answer

Prompt = tuple[list[int], list[int]]  # what always stands first, the token that begins texts included; and the rest
ANSWER = "answer"  # what conversations are followed by, where it is no turn of theirs
LEARNED = "learned"  # the column that says which of the target's tokens are


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
    inputs: tuple[Field, ...] = (Field("prompt", "text", required=False),)
    input_choices: tuple[tuple[Field, ...], ...] = ((Field("prompt", "text"),), (Field("messages", "turns"),))
    targets: tuple[Field, ...] = (Field("text", "written"),)
    main_measure = "perplexity"
    by_script = ("bleu_tokenizer", bleu_tokenizer_of)
    measure_specs: Mapping[str, MeasureSpec] = {**Likelihood.specs, **Matched.specs, **Continued.specs,
                                                **Referred.specs, **Kept.specs}  # fmt: skip

    def __init__(
        self, settings: TextGenerationSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer, model_limit=model_limit)
        self.max_tokens = row_limit(settings, tokenizer, model_limit=model_limit)
        self.head = HeadSpec("causal-language-model", labels)
        self._begin: list[int] = tokenizer.prefix or ([] if tokenizer.bos_id is None else [tokenizer.bos_id])
        self._most = min(self._most, self.max_tokens - len(self._begin) - 1)

    @classmethod
    def shapes(cls) -> tuple[Shape, ...]:
        """A text with or without a prompt before it; or a conversation."""
        return Shape(cls.inputs, cls.targets), Shape((), (Field("messages", "answered"),))

    @classmethod
    def settled(cls, settings: Any, train: Dataset) -> Any:
        """As of `WrittenText`, and whether it learns from conversations is decided."""
        settings = super().settled(settings, train)
        if getattr(settings, "messages", True) is not None:
            return settings
        return settings.model_copy(update={"messages": "messages" in train.columns})

    @property
    def converses(self) -> bool:
        """Whether a line is a turn of a conversation: it learned from some; where from nothing, its base did."""
        learned: bool | None = self.settings.messages
        return knows_conversations(self.tokenizer) if learned is None else learned

    @property
    def reads_conversations(self) -> bool:
        """Whether it takes conversations: it learned from some, or its base did."""
        return self.converses or knows_conversations(self.tokenizer)

    @cached_property
    def chat(self) -> ChatFormat:
        """How conversations are written.

        Raises:
            BundleError: The base's tokenizer cannot write them.
        """
        return chat_format(self.tokenizer)

    @property
    def endings(self) -> tuple[int, ...]:
        """The token that ends a text, and where it answers the one that ends an answer."""
        usual = super().endings
        return usual if not self.reads_conversations or self.chat.ending in usual else (*usual, self.chat.ending)

    @property
    def forced_bos_token_id(self) -> None:
        """None: what is written comes after a prompt, which begins as every row does."""

    @property
    def _read_schema(self) -> dict[str, pa.DataType]:
        return {**ROWS_SCHEMA, **WORDS_SCHEMA, "prompted": pa.bool_()}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._read_schema, TARGET: pa.list_(pa.int32()), LEARNED: pa.list_(pa.int32()), CUT: pa.bool_()}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`. ``prompted`` is whether a row has a prompt, which something comes after; ``input_ids`` are
        the tokens of it, of the window of a whole text that were told already, or of a conversation before its first
        answer. ``learned`` are the beginnings and ends, in turn, of what of ``target_ids`` is learned. Attributes and
        keywords stand before a prompt and are never left out; a text without prompt comes after them.

        Raises:
            TextTooLong: A prompt or the text after it is too long, and the settings refuse that.
            FaultyExamples: The same of a conversation, or the base does not write it; or an attribute has a value
                that was not learned.
        """
        require_values(self.settings.attributes, columns, start=start)
        out: dict[str, list[Any]] = {name: [] for name in self.row_schema}
        if conversations_in(columns) is not None:
            self._add_conversations(columns, out, purpose=purpose, start=start)
        elif purpose == "predict":
            prompts = self._prompts_in(columns)
            assert prompts is not None  # it was asked for something
            self._add_prompts(out, prompts, [self.before_answers] * len(prompts), start=start)
        else:
            self._add_texts(out, columns, start=start)
        add_words(out, columns, start=start)
        return rows_of(out, self._read_schema if purpose == "predict" else self.row_schema)

    def _prompts_in(self, columns: Columns) -> list[Prompt] | None:
        """What texts are written from; None where nothing stands before them."""
        controls, given = control_texts(self.settings, columns), columns.get("prompt")
        if given is None and controls is None:
            return None
        prompts = [[] for _ in controls or ()] if given is None else self.tokenizer.encode(given)
        befores = [[] for _ in prompts] if controls is None else self.tokenizer.encode(controls)
        return [([*self._begin, *before], prompt) for before, prompt in zip(befores, prompts, strict=True)]

    def _add_texts(self, out: dict[str, list[Any]], columns: Columns, *, start: int) -> None:
        prompts = self._prompts_in(columns)
        texts = [[*ids, *self.endings[:1]] for ids in self.tokenizer.encode(columns["text"])]
        if prompts is None:
            for i, ids in enumerate(texts):
                self._add_windows(out, start + i, ids)
            return
        mosts = [min(self._most, self.max_tokens - len(before)) for before, _ in prompts]  # attributes stay
        long = {i: len(ids) for i, (ids, most) in enumerate(zip(texts, mosts, strict=True)) if len(ids) > most > 0}
        if long and self.settings.long_target == "refuse":
            raise ContinuationTooLong({start + i: n for i, n in long.items()}, room=min(mosts[i] for i in long))
        out[TARGET] = [ids[: max(1, most)] for ids, most in zip(texts, mosts, strict=True)]
        out[LEARNED] = [[0, len(ids)] for ids in out[TARGET]]
        out[CUT] = [len(ids) > len(kept) for ids, kept in zip(texts, out[TARGET], strict=True)]
        rooms = [min(self.max_tokens - len(ids), self.before_answers) for ids in out[TARGET]]  # as when it is written
        self._add_prompts(out, prompts, rooms, start=start)

    @property
    def before_answers(self) -> int:
        """Most tokens before what is to be written, so that there is room for it."""
        most: int = self.max_tokens - min(self.settings.decoding.max_new_tokens, self.max_tokens // 2)
        return most

    def _add_conversations(self, columns: Columns, out: dict[str, list[Any]], *, purpose: Purpose, start: int) -> None:
        name = conversations_in(columns)
        assert name is not None
        settings = self.settings
        if purpose == "predict" and not self.reads_conversations:
            raise DataError(
                f"{name} for a bundle that was taught by texts", expected="a prompt", code="data.no-conversations"
            )
        given = [with_system(turns, getattr(settings, "system", "")) for turns in columns[name]]
        controls = control_texts(settings, columns)
        if controls is not None:
            given = [with_control(turns, text) for turns, text in zip(given, controls, strict=True)]
        if ANSWER in columns:
            answers = [{"role": ASSISTANT, "text": text} for text in columns[ANSWER]]
            given = [[*turns, answer] for turns, answer in zip(given, answers, strict=True)]
        self.chat.ready(given)
        room = Room(self.max_tokens, self.before_answers, self._most, settings.stride,
                    settings.long_target == "truncate", settings.long_text == "truncate")  # fmt: skip
        wrong: dict[int, DataError] = {}
        for i, turns in enumerate(given, start=start):
            try:
                if purpose == "predict":
                    found = [to_answer(self.chat, turns, room)]
                else:
                    found = to_learn(self.chat, turns, room, last_alone=ANSWER in columns)
            except DataError as error:
                wrong[i] = error
                continue
            for passage in found:
                self._add_passage(out, i, passage)
        if wrong:
            raise unusable(wrong, field=name, looked_at=len(given))

    def _add_passage(self, out: dict[str, list[Any]], example: int, passage: Passage) -> None:
        first = passage.answers[0][0] if passage.answers else len(passage.ids)
        out["example"].append(example)
        out["truncated"].append(passage.left_out)
        out["text_tokens"].append(passage.whole)
        out["input_ids"].append(passage.ids[:first])
        out["prompted"].append(True)
        out[TARGET].append(passage.ids[first:])
        out[LEARNED].append([place - first for span in passage.answers for place in span])
        out[CUT].append(passage.cut)

    def _add_prompts(
        self, out: dict[str, list[Any]], prompts: Sequence[Prompt], rooms: Sequence[int], *, start: int
    ) -> None:
        """The inputs of rows: of a prompt its end, which is next to what comes after it.

        Raises:
            TextTooLong: One is longer than its room, and may not lose its beginning, or has none to lose.
        """
        lengths = [len(before) + len(prompt) for before, prompt in prompts]
        least = lengths if self.settings.long_text == "refuse" else [len(before) for before, _ in prompts]
        long = {start + i: n for i, (n, room) in enumerate(zip(least, rooms, strict=True)) if n > room}
        if long:
            room = min(rooms[i - start] for i in long)
            raise (TextTooLong if self.settings.long_text == "refuse" else ControlsTooLong)(long, room=room)
        for i, ((before, prompt), whole, room) in enumerate(zip(prompts, lengths, rooms, strict=True), start=start):
            out["example"].append(i)
            out["truncated"].append(whole > room)
            out["text_tokens"].append(whole)
            out["input_ids"].append([*before, *prompt[max(0, whole - room) :]])
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
            out[LEARNED].append([0, end - done])
            out[CUT].append(False)
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
        real = place < whole
        row, token = self._learned(rows, index, before[:, 0])
        return {
            "input_ids": torch.from_numpy(out),
            "attention_mask": torch.from_numpy(real).long(),
            "target_places": torch.from_numpy(np.stack([row, token - 1], axis=1)),
            "gold": torch.from_numpy(out[row, token]),
            "counts": torch.from_numpy(np.bincount(row, minlength=len(index))),
        }

    def _learned(self, rows: Rows, index: IntArray, before: IntArray) -> tuple[IntArray, IntArray]:
        """Row of the batch and place in it of each token to learn that has one before it; ``before``: tokens before the
        target of each row."""
        lists = rows.lists(LEARNED)
        each = (lists.offsets[index + 1] - lists.offsets[index]) // 2
        spans = lists.of(index).reshape(-1, 2).astype(np.int64)
        owner = np.repeat(np.arange(len(index)), each)
        counts = spans[:, 1] - spans[:, 0]
        row, token = np.repeat(owner, counts), stretches(spans[:, 0] + before[owner], counts)
        return row[token > 0], token[token > 0]

    def prompts(self, rows: Rows) -> list[list[list[int]]]:
        """See `Writing.prompts`: of a conversation one for each of its answers, where they are known; none of a whole
        text, which has nothing after it."""
        asked = rows.scalar("prompted").astype(bool).tolist()
        return [self._prompts(rows, i) if yes else [] for i, yes in enumerate(asked)]

    def _prompts(self, rows: Rows, index: int) -> list[list[int]]:
        read = rows.row("input_ids", index).tolist()
        if TARGET not in rows.table.column_names:
            return [read]
        told = rows.row(TARGET, index).tolist()
        return [[*read, *told[:begin]] for begin in rows.row(LEARNED, index)[::2].tolist()]

    def join(
        self, columns: Columns, rows: Rows, partials: Sequence[Drafts], *, constants: Mapping[str, Tensor]
    ) -> list[Prediction]:
        if not len(rows):
            return []
        known = TARGET in rows.table.column_names and conversations_in(columns) is not None
        cut = zip(rows.scalar("truncated").astype(bool).tolist(), targets_cut(rows), strict=True)
        found: list[Prediction] = []
        for example, drafts, (was, told) in zip((rows.example - rows.example[0]).tolist(), partials, cut, strict=True):
            one = self._prediction(drafts, truncated=was, target_cut=told)
            if known and drafts.texts:
                one["answers"] = [self._prediction(Drafts((texts,)), truncated=was) for texts in drafts.texts]
            if example == len(found):
                found.append(one)
            else:
                add_row(found[-1], one)
        for one in found:
            one |= one.get("answers", [{}])[-1]
        return found

    def with_texts(self, inputs: Columns, texts: Sequence[str]) -> Columns:
        """As of `WrittenText`; after conversations, their next answers, which alone are learned."""
        return {**inputs, ANSWER: texts} if conversations_in(inputs) else super().with_texts(inputs, texts)

    def shown(self, columns: Columns) -> list[str]:
        """A prompt, a whole text, or what was said before the last answer."""
        name = conversations_in(columns)
        controls = control_texts(self.settings, columns)
        if name is not None:
            shown = [as_read(asked(turns)) for turns in columns[name]]
        elif "prompt" in columns:
            shown = list(columns["prompt"])
        else:
            return list(columns["text"]) if controls is None else controls
        return shown if controls is None else list(map(operator.add, controls, shown))

    def asked(self, columns: Columns, rows: Rows) -> list[list[str]]:
        """As of `WrittenText`; of a conversation whose answers are known what was said before each of them."""
        name = conversations_in(columns)
        if name is None or TARGET not in rows.table.column_names:
            return super().asked(columns, rows)
        befores = [(as_read(turns[:at]) for at, turn in enumerate(turns) if turn["role"] == ASSISTANT)
                   for turns in columns[name]]  # fmt: skip
        counts = (np.diff(rows.lists(LEARNED).offsets) // 2).tolist()  # each answer is learned once, in order
        each = zip((rows.example - rows.example[:1]).tolist(), counts, strict=True)
        return [list(itertools.islice(befores[example], count)) for example, count in each]

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """As of `WrittenText`; of a conversation the sum over its answers."""
        name = conversations_in(columns)
        if name is None or not predictions:
            return super().tally(predictions, columns)
        gold = [answers_of(turns) for turns in columns[name]]
        firsts = np.cumsum([0, *map(len, gold)])[:-1]
        told: dict[str, list[Any]] = {"text": [text for texts in gold for text in texts]}
        for field in filter(None, (self.settings.keywords, self.judged_attribute)):
            told[field] = [value for value, texts in zip(columns[field], gold, strict=True) for _ in texts]
        return np.add.reduceat(super().tally(each_answer(predictions, gold), told), firsts, axis=0)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return (Matched(Bleu(self.settings.bleu_tokenizer or "13a"), Chrf()), Continued(), Referred())

    def told(self, columns: Columns) -> list[str]:
        """As of `WrittenText`; of a conversation all its answers."""
        name = conversations_in(columns)
        return super().told(columns) if name is None else ["\n".join(answers_of(turns)) for turns in columns[name]]

    def quality(self, tally: FloatArray) -> float | None:
        """chrF, as a share; where nothing was written what the perplexity of the given text would be the inverse of."""
        found = self.measures(tally)
        if (chrf := found["chrf"]) is not None:
            return chrf / 100
        return None if found["perplexity"] is None else 1.0 / found["perplexity"]

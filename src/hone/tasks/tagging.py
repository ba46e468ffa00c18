"""``token-classification``: one BIO tag a word, read as entities.

A prediction is ``{"entities": [{"label", "start", "end", "text", "score"}], "truncated"}``, with character offsets,
end exclusive; an input of ``tokens`` gets ``"tags"`` too, one a token, and its offsets count in the tokens joined by
single spaces (none between Chinese characters, none at all with ``split: characters``). Windows train as texts of
their own, shared words in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.errors import RecipeError
from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.metrics.entities import spans as entity_spans
from hone.models import crf
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.tasks import tagging_scores
from hone.tasks.form import Form
from hone.tasks.long_text import refuse_long, row_limit, spans
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.rows import ROWS_SCHEMA, Batch, IntArray, Rows, padded, rows_of, text_inputs
from hone.tasks.settings import TokenClassificationSettings
from hone.tasks.word_windows import WORDS_AT_ONCE, stitched, word_windows
from hone.text.bio import repaired, tag_set
from hone.text.shapes import SHAPE_SIZES, word_shapes
from hone.text.words import join_characters, join_words, split_characters, split_words

STRETCHES_AT_ONCE = 256  # stretches of words decoded together
STRETCH_WORDS, SHARED_WORDS = 1024, 128  # longer texts are decoded in overlapping stretches, which bounds memory


class TokenClassification(Form):
    """BIO tagging of words.

    Args:
        settings: The task's settings.
        labels: The BIO tag set, in the order of the scores.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "token-classification"
    inputs = (Field("tokens", "tokens"),)
    input_choices = ((Field("tokens", "tokens"),), (Field("text", "text"),))
    targets = (Field("tags", "tags"),)
    says: Says = "one"
    additive = True
    main_measure = "entity_f1"
    measure_specs: Mapping[str, MeasureSpec] = tagging_scores.SPECS

    def __init__(
        self, settings: TokenClassificationSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self.max_tokens = row_limit(settings, tokenizer, model_limit=model_limit)
        choices = {"crf": settings.head == "crf", "word_shape": settings.word_shape, "context": settings.context}
        self.head = (
            HeadSpec("token-linear", labels) if settings.plain_head else HeadSpec("token-tagging", labels, choices)
        )
        self._room = self.max_tokens - len(tokenizer.prefix) - len(tokenizer.suffix)
        alone = settings.split == "characters"
        self._split, self._join = (split_characters, join_characters) if alone else (split_words, join_words)

    @classmethod
    def settled(cls, settings: TokenClassificationSettings, train: Dataset) -> TokenClassificationSettings:
        """``split: auto`` decided: a text is split as the training tokens are."""
        if settings.split != "auto":
            return settings
        return settings.model_copy(update={"split": "characters" if train.longest("tokens") == 1 else "words"})

    @classmethod
    def weighs_labels(cls, settings: TokenClassificationSettings) -> bool:
        """With a linear head."""
        return settings.head == "linear"

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """``O`` and both tags of every type that a training set teaches."""
        return tag_set({tag for tags in columns["tags"] for tag in tags})

    @classmethod
    def known(cls, settings: TokenClassificationSettings, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """The tag set."""
        return {"tags": labels}

    @property
    def _input_schema(self) -> dict[str, pa.DataType]:
        numbers = pa.list_(pa.int32())
        schema = {**ROWS_SCHEMA, "first_word": pa.int64(), "word_positions": numbers}
        return {**schema, "shapes": numbers} if self.settings.word_shape else schema

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._input_schema, "tags": pa.list_(pa.int32())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        schema = self._input_schema if purpose == "predict" else self.row_schema
        out: dict[str, list[Any]] = {name: [] for name in schema}
        long: dict[int, int] = {}
        for i, words in enumerate(self._words(columns)):
            if self.settings.long_text == "truncate" and purpose == "predict":
                words = words[: self._room + 1]  # each has a piece at least, so that whatever follows is cut off
            pieces, cut = self._pieces(words)
            sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
            windows = word_windows(sizes, room=self._room, stride=self.settings.stride)
            if len(windows) > 1 and self.settings.long_text == "refuse":
                long[start + i] = int(sizes.sum())
            if len(windows) > 1 and self.settings.long_text == "truncate":
                windows, cut = windows[:1], True
            tags = columns["tags"][i] if purpose == "learn" else None
            shapes = word_shapes(words) if self.settings.word_shape else None
            for first, end in windows:
                ids, positions = list(self.tokenizer.prefix), []
                for piece in pieces[first:end]:
                    positions.append(len(ids))
                    ids.extend(piece)
                out["example"].append(start + i)
                out["truncated"].append(cut)
                out["text_tokens"].append(len(self.tokenizer.prefix) + int(sizes.sum()) + len(self.tokenizer.suffix))
                out["input_ids"].append(ids + self.tokenizer.suffix)
                out["first_word"].append(first)
                out["word_positions"].append(positions)
                if shapes is not None:
                    out["shapes"].append(shapes[first:end].ravel())
                if tags is not None:
                    out["tags"].append(self._tag_ids(tags[first:end]))
        refuse_long(long, room=self._room)
        return rows_of(out, schema)

    def _words(self, columns: Columns) -> list[Sequence[str]]:
        if "tokens" in columns:
            return list(columns["tokens"])
        return [[text[start:end] for start, end in self._split(text)] for text in columns["text"]]

    def _pieces(self, words: Sequence[str]) -> tuple[list[list[int]], bool]:
        """Token ids of each word, none longer than a row; and whether a word was cut for that."""
        pieces: list[list[int]] = []
        for at in range(0, len(words), WORDS_AT_ONCE):
            ids, first = self.tokenizer.encode_words([words[at : at + WORDS_AT_ONCE]])[0]
            pieces.extend(ids[a:b] for a, b in zip(first, [*first[1:], len(ids)], strict=True))
        cut = any(len(piece) > self._room for piece in pieces)
        return [piece[: self._room] for piece in pieces], cut

    def _tag_ids(self, tags: Sequence[str]) -> list[int]:
        return [self._ids[tag] for tag in (repaired(tags) if self.settings.head == "crf" else tags)]

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = text_inputs(rows, index, pad_id=self.tokenizer.pad_id)
        batch["word_positions"], batch["word_mask"] = padded(rows, "word_positions", index, fill=0)
        if self.settings.word_shape:
            batch["shapes"], _ = padded(rows, "shapes", index, fill=0, per_item=len(SHAPE_SIZES))
        if "tags" in rows.table.column_names:
            batch["tags"], _ = padded(rows, "tags", index, fill=0)
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        scores, mask, tags = outputs["logits"].float(), batch["word_mask"], batch["tags"]
        if self.settings.head == "crf":
            if options.label_smoothing or options.class_weights is not None:
                raise RecipeError(
                    "found label smoothing or class weights with a crf head, whose loss scores whole sequences",
                    expected="neither of them, or head: linear",
                    code="recipe.loss-options",
                )
            chain = crf.Chain(outputs["transitions"], outputs["start"], outputs["end"])
            return Loss(crf.negative_log_likelihood(scores, mask, chain, tags).sum(), float(mask.sum()))
        each = functional.cross_entropy(
            scores[mask],
            tags[mask],
            weight=options.class_weights,
            label_smoothing=options.label_smoothing,
            reduction="none",
        )
        weights = options.class_weights
        return Loss(each.sum(), float(mask.sum()) if weights is None else float(weights[tags[mask]].sum()))

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        scores = outputs["logits"].float().cpu().numpy()
        counts = batch["word_mask"].sum(1).tolist()
        return [row[:count] for row, count in zip(scores, counts, strict=True)]

    def join(
        self,
        columns: Columns,
        rows: Rows,
        partials: Sequence[NDArray[np.float32]],
        *,
        constants: Mapping[str, Tensor],
    ) -> list[Prediction]:
        if not len(rows):
            return []
        chain = crf.Chain(**constants) if constants else None
        begins = np.flatnonzero(np.diff(rows.example, prepend=rows.example[0] - 1))
        first_word = rows.scalar("first_word")
        scores = [
            stitched([(int(first_word[r]), partials[r]) for r in range(begin, end)])
            for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True)
        ]
        truncated = rows.scalar("truncated")[begins].astype(bool)
        return [
            self._answer(columns, i, best[:, 0].astype(np.int64), best[:, 1], bool(truncated[i]))
            for i, best in enumerate(_best(scores, chain))
        ]

    def _answer(
        self, columns: Columns, i: int, ids: NDArray[np.int64], chances: NDArray[np.float32], truncated: bool
    ) -> Prediction:
        given = columns.get("tokens")
        if given is not None:
            text, offsets = self._join(given[i])
        else:
            text = columns["text"][i]
            offsets = self._split(text)
        tags = [self.labels[k] for k in ids]
        if self.settings.head == "crf":
            tags = repaired(tags)  # legal within stretches; where two meet, by this
        for _, first, end in entity_spans(tags):
            if all(begin == stop for begin, stop in offsets[first:end]):  # of empty tokens alone
                tags[first:end] = ["O"] * (end - first)
        entities = [
            {
                "label": label,
                "start": offsets[first][0],
                "end": offsets[end - 1][1],
                "text": text[offsets[first][0] : offsets[end - 1][1]],
                "score": float(chances[first:end].mean()),
            }
            for label, first, end in entity_spans(tags)
        ]
        answer: Prediction = {"entities": entities, "truncated": truncated}
        unread = ["O"] * (len(offsets) - len(tags))  # words that were cut off hold no entity
        return answer if given is None else {**answer, "tags": tags + unread}

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Entity and token counts (`hone.tasks.tagging_scores.tally`), float64 [examples, k]; additive."""
        return tagging_scores.tally(columns["tags"], *_said(predictions), tags=self.labels)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        return tagging_scores.measures(tally, tags=self.labels)

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        said = _said(predictions)
        return tagging_scores.scored(columns["tokens"], columns["tags"], *said, tags=self.labels, join=self._join)

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        said, also = ([(e["label"], e["start"], e["end"]) for e in p["entities"]] for p in (one, other))
        return said == also


def _said(predictions: Sequence[Prediction]) -> tuple[list[list[str]], list[list[float]]]:
    """The tags of each prediction, and the scores of its entities."""
    return [p["tags"] for p in predictions], [[entity["score"] for entity in p["entities"]] for p in predictions]


def _best(scores: Sequence[NDArray[np.float32]], chain: crf.Chain | None) -> Iterator[NDArray[np.float32]]:
    """Of each example the best tag's id and its probability, [words, 2]."""
    stretches = [
        (i, begin, end)
        for i, row in enumerate(scores)
        for begin, end in spans(len(row), room=STRETCH_WORDS, stride=SHARED_WORDS)
    ]
    stretches.sort(key=lambda stretch: stretch[2] - stretch[1])
    parts: list[list[tuple[int, NDArray[np.float32]]]] = [[] for _ in scores]
    for at in range(0, len(stretches), STRETCHES_AT_ONCE):
        chosen = stretches[at : at + STRETCHES_AT_ONCE]
        decoded = _decoded([scores[i][begin:end] for i, begin, end in chosen], chain)
        for (i, begin, _), best in zip(chosen, decoded, strict=True):
            parts[i].append((begin, best))
    return (stitched(sorted(part, key=lambda each: each[0])) for part in parts)


def _decoded(scores: Sequence[NDArray[np.float32]], chain: crf.Chain | None) -> list[NDArray[np.float32]]:
    """Of each stretch the best tag's id and its probability, [words, 2]."""
    longest = max(1, max(len(row) for row in scores))
    padded_scores = torch.zeros(len(scores), longest, scores[0].shape[1])
    mask = torch.zeros(len(scores), longest, dtype=torch.bool)
    for i, row in enumerate(scores):
        padded_scores[i, : len(row)] = torch.from_numpy(row)
        mask[i, : len(row)] = True
    with torch.inference_mode():
        if chain is None:
            chances = torch.softmax(padded_scores, dim=2)
            best = padded_scores.argmax(dim=2)
        else:
            mask[:, 0] = True  # a text without words still has one step; it is cut off below
            best = crf.viterbi(padded_scores, mask, chain)
            chances = crf.marginals(padded_scores, mask, chain)
        sure = chances.gather(2, best.unsqueeze(2)).squeeze(2)
    both = torch.stack([best.float(), sure], dim=2).numpy()
    return [both[i, : len(row)] for i, row in enumerate(scores)]

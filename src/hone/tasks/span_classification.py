"""``span-classification``: labeled stretches of a text, which may overlap and lie within one another.

A prediction is ``{"entities": [{"label", "start", "end", "text", "score"}], "truncated"}``, as of
``token-classification``, ordered by start and end; offsets count characters, end exclusive. Long texts are read in
windows; what any of them finds is an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.metrics.entities import averages, per_label
from hone.models.heads import NEVER, HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.tasks.entities import EntityReading, trimmed
from hone.tasks.form import Form
from hone.tasks.label_tables import label_table
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.rows import Batch, IntArray, Rows, rows_of
from hone.tasks.settings import SpanClassificationSettings

Entity = tuple[str, int, int]


class SpanClassification(Form):
    """Labels of stretches of a text.

    Args:
        settings: The task's settings.
        labels: Of stretches, in the order of the scores.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "span-classification"
    inputs = (Field("text", "text"),)
    targets = (Field("entities", "entities"),)
    says: Says = "spans"
    additive = True
    main_measure = "entity_f1"
    measure_specs: Mapping[str, MeasureSpec] = {
        "entity_f1": MeasureSpec(),
        "entity_precision": MeasureSpec(),
        "entity_recall": MeasureSpec(),
        "entity_macro_f1": MeasureSpec(),
        "overlapping_recall": MeasureSpec(),
    }

    def __init__(
        self, settings: SpanClassificationSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self._reading = EntityReading(settings, tokenizer=tokenizer, model_limit=model_limit)
        self.max_tokens = self._reading.max_tokens
        self.head = HeadSpec("global-pointer", labels, {"size": settings.head_size, "efficient": settings.efficient})

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The labels a training set teaches, sorted."""
        return tuple(sorted({entity["label"] for entities in columns["entities"] for entity in entities}))

    @classmethod
    def known(cls, settings: SpanClassificationSettings, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Those that training showed."""
        return {"entities": labels}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._reading.schema, **self._reading.learned}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        out = self._reading.encode(columns, purpose=purpose, start=start)
        if purpose == "predict":
            return rows_of(out, self._reading.schema)
        return rows_of({**out, **self._reading.entities(out, columns, ids=self._ids, start=start)}, self.row_schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        return self._reading.collate(rows, index)

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        scores, there = outputs["logits"].float(), batch["entity_mask"]
        gold = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
        label, first, last = batch["entities"][there].unbind(1)
        gold[there.nonzero()[:, 0], first, last, label] = True
        each = ranking_loss(scores.flatten(1, 2), gold.flatten(1, 2))  # [batch, labels]
        return Loss(each.sum() / each.shape[1], float(len(each)))

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        """Of each row what scores above zero: first and last token, label, score; float32 [found, 4]."""
        scores = outputs["logits"].float().cpu()
        places = (scores > 0).nonzero()
        found = torch.cat([places[:, 1:].float(), scores[tuple(places.T)].unsqueeze(1)], dim=1).numpy()
        counts = np.bincount(places[:, 0].numpy(), minlength=len(scores))
        return np.split(found, np.cumsum(counts)[:-1])

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
        found: list[dict[Entity, float]] = [{} for _ in columns["text"]]
        truncated = [False] * len(found)
        cut = rows.scalar("truncated")
        for row, example in enumerate(rows.example - rows.example[0]):
            truncated[example] = bool(cut[row])
            places, text = rows.row("spans", row).reshape(-1, 2), columns["text"][example]
            for first, last, label, score in partials[row].tolist():
                begin, end = trimmed(text, int(places[int(first), 0]), int(places[int(last), 1]))
                entity = (self.labels[int(label)], begin, end)
                if begin < end:
                    found[example][entity] = max(score, found[example].get(entity, score))
        return [
            {"entities": _shown(entities, text), "truncated": one}
            for entities, text, one in zip(found, columns["text"], truncated, strict=True)
        ]

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """True positives, predicted and gold of each label, then of the gold ones that overlap another how many there
        are and were found: float64 [examples, 3 * labels + 2]; additive."""
        out = np.zeros((len(predictions), 3 * len(self.labels) + 2))
        for row, prediction, gold in zip(out, predictions, _gold(columns), strict=True):
            said = _keys(prediction["entities"])
            for part, some in enumerate((said & gold, said, gold)):
                for label, _, _ in some:
                    row[part * len(self.labels) + self._ids[label]] += 1
            within = {one for one in gold if any(_overlap(one, other) for other in gold)}
            row[-2:] = len(within), len(within & said)
        return out

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        summed = tally.sum(axis=0)
        found, (within, hit) = averages(summed[:-2]), summed[-2:]
        return {
            "entity_f1": found["micro_f1"],
            "entity_precision": found["micro_precision"],
            "entity_recall": found["micro_recall"],
            "entity_macro_f1": found["macro_f1"],
            "overlapping_recall": float(hit / within) if within else None,
        }

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        hits, said, true = tally[:, :-2].reshape(len(tally), 3, len(self.labels)).sum(axis=2).T
        texts = list(columns["text"])
        return Scored(
            {"per_entity": label_table(self.labels, *per_label(tally[:, :-2].sum(axis=0)))},
            (said - hits) + (true - hits),
            texts,
            [_listed(entities, text) for entities, text in zip(_gold(columns), texts, strict=True)],
            [_listed(_keys(one["entities"]), text) for one, text in zip(predictions, texts, strict=True)],
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return _keys(one["entities"]) == _keys(other["entities"])


def ranking_loss(scores: Tensor, gold: Tensor) -> Tensor:
    """Multi-label categorical cross-entropy (Su et al. 2022): whatever is gold above zero, all else below it.

    Args:
        scores, gold: float32 and bool [batch, choices, labels].

    Returns:
        ``log(1 + sum exp(other)) + log(1 + sum exp(-gold))``, float32 [batch, labels].
    """
    signed = torch.where(gold, -scores, scores)
    low = functional.pad(signed.masked_fill(gold, NEVER), (0, 0, 0, 1))
    high = functional.pad(signed.masked_fill(~gold, NEVER), (0, 0, 0, 1))
    return low.logsumexp(1) + high.logsumexp(1)


def _shown(entities: Mapping[Entity, float], text: str) -> list[dict[str, Any]]:
    ordered = sorted(entities.items(), key=lambda item: (item[0][1:], item[0][0]))
    return [
        {"label": label, "start": start, "end": end, "text": text[start:end],
         "score": 1 / (1 + math.exp(-min(score, 700.0)))}
        for (label, start, end), score in ordered
    ]  # fmt: skip


def _keys(entities: Sequence[Mapping[str, Any]]) -> set[Entity]:
    return {(one["label"], one["start"], one["end"]) for one in entities}


def _gold(columns: Columns) -> list[set[Entity]]:
    """The entities of each example, without blanks at their ends, as answers have them."""
    return [
        {(one["label"], *trimmed(text, one["start"], one["end"])) for one in entities}
        for text, entities in zip(columns["text"], columns["entities"], strict=True)
    ]


def _overlap(one: Entity, other: Entity) -> bool:
    return one != other and one[1] < other[2] and other[1] < one[2]


def _listed(entities: Set[Entity], text: str) -> str:
    """``LOC: New York · PER: Ada``, in the order of the text; a dash where there are none."""
    ordered = sorted(entities, key=lambda one: (one[1:], one[0]))
    return " · ".join(f"{label}: {text[start:end]}" for label, start, end in ordered) or "–"

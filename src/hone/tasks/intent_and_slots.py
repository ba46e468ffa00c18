"""``intent-and-slots``: what a request is for, one label a text, and the slots it fills, one BIO tag a word.

A prediction is ``{"label", "score", "scores", "entities", "truncated"}``: the intent as of ``text-classification``, a
request that no intent fits included (``unknown_label``), and the slots as the entities of ``token-classification``; an
input of ``tokens`` gets ``"tags"`` too. One encoder serves both (Liu and Lane 2016; Chen et al. 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.metrics.classification import counted
from hone.metrics.entities import averages, span_tally
from hone.models import crf
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.tasks import tagging_scores
from hone.tasks.calibration_tables import calibration_tables
from hone.tasks.classification import TextClassification
from hone.tasks.form import Form
from hone.tasks.label_answers import SCOPE_SPECS, OneLabel, names_of, probabilities, scope_measures
from hone.tasks.label_tables import confusion_tables, per_class_table
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.reading import joined
from hone.tasks.rows import Batch, IntArray, Rows
from hone.tasks.settings import IntentAndSlotsSettings
from hone.tasks.tagging import TokenClassification
from hone.text.bio import tag_set


class IntentAndSlots(OneLabel, Form):
    """An intent a text and a slot tag a word.

    Args:
        settings: The task's settings.
        labels: The intents, in the order of the scores.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "intent-and-slots"
    inputs = TokenClassification.inputs
    input_choices = TokenClassification.input_choices
    targets = (Field("label", "label"), Field("tags", "tags"))
    says: Says = "one"
    additive = False
    main_measure = "frame_accuracy"
    measure_specs: Mapping[str, MeasureSpec] = {
        "frame_accuracy": MeasureSpec(interval="wilson"),
        "intent_accuracy": MeasureSpec(interval="wilson"),
        "slot_f1": MeasureSpec(),
        "slot_precision": MeasureSpec(),
        "slot_recall": MeasureSpec(),
        **SCOPE_SPECS,
    }

    def __init__(
        self, settings: IntentAndSlotsSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self.tags = _tags(settings)
        self._tagging = TokenClassification(settings, labels=self.tags, tokenizer=tokenizer, model_limit=model_limit)
        self.max_tokens = self._tagging.max_tokens
        choices = {"crf": settings.head == "crf", "word_shape": settings.word_shape, "context": settings.context}
        self.head = HeadSpec("sentence-and-words", labels, {"tags": list(self.tags), **choices})
        self._answer_by()

    @classmethod
    def settled(cls, settings: IntentAndSlotsSettings, train: Dataset) -> IntentAndSlotsSettings:
        """``split`` and ``slots`` decided where they are not."""
        settled = settings.model_copy(update={"split": TokenClassification.settled(settings, train).split})
        if settled.slots is not None:
            return settled
        tags = TokenClassification.labels_in({"tags": train.distinct("tags")})
        return settled.model_copy(update={"slots": list(tagging_scores.types_of(tags))})

    @classmethod
    def weighs_labels(cls, settings: IntentAndSlotsSettings) -> bool:
        """Always: those of the intents."""
        return True

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The intents, as `TextClassification.labels_in`."""
        return TextClassification.labels_in(columns)

    @classmethod
    def known(cls, settings: IntentAndSlotsSettings, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """The intents, with the one that stands for none of them, and the tag set."""
        return {"label": names_of(labels, settings.unknown_label), "tags": _tags(settings)}

    @staticmethod
    def named(settings: IntentAndSlotsSettings) -> Mapping[str, str]:
        """The tags, where the slots are stated."""
        return {} if settings.slots is None else {"tags": "slots"}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._tagging.row_schema, "label": pa.int64()}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        rows = self._tagging.encode(columns, purpose=purpose, start=start)
        if purpose == "predict":
            return rows
        ids = [self._ids[columns["label"][example - start]] for example in rows.column("example").to_pylist()]
        return rows.append_column("label", pa.array(ids, pa.int64()))

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = self._tagging.collate(rows, index)
        if "label" in rows.table.column_names:
            batch["label"] = torch.from_numpy(rows.scalar("label")[index])
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """A text's intent, and ``slot_weight`` times its tags; each text with the weight of its intent."""
        places = outputs["logits"].float()
        intents, words = places[:, 0, : len(self.labels)], places[:, 1:, : len(self.tags)]
        labels, weights = batch["label"], options.class_weights
        taught = labels < len(self.labels)  # others are of the unknown label, which training never showed
        labels = labels.where(taught, 0)
        each = functional.cross_entropy(
            intents, labels, weight=weights, label_smoothing=options.label_smoothing, reduction="none"
        )
        weight = torch.ones_like(each) if weights is None else weights[labels]
        each = each * taught + self.settings.slot_weight * weight * self._slot_losses(outputs, words, batch)
        return Loss(each.sum(), float(weight.sum()))

    def _slot_losses(self, outputs: Outputs, scores: Tensor, batch: Batch) -> Tensor:
        """Negative log-likelihood of each text's tags, float32 [batch]."""
        mask, tags = batch["word_mask"], batch["tags"]
        if self.settings.head == "crf":
            chain = crf.Chain(outputs["transitions"], outputs["start"], outputs["end"])
            return crf.negative_log_likelihood(scores, mask, chain, tags)
        each = functional.cross_entropy(scores.transpose(1, 2), tags, reduction="none")  # [batch, words]
        return (each * mask).sum(1)

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        scores = outputs["logits"].float().cpu().numpy()
        counts = batch["word_mask"].sum(1).tolist()
        return [row[: 1 + count] for row, count in zip(scores, counts, strict=True)]

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
        words = [scores[1:, : len(self.tags)] for scores in partials]
        slots = self._tagging.join(columns, rows, words, constants=constants)
        intents = np.array([scores[0, : len(self.labels)] for scores in partials], dtype=np.float64)
        chances, _ = joined(rows, probabilities(intents))
        return [
            {**self._answers.of(dict(zip(self.labels, row.tolist(), strict=True))), **found}
            for row, found in zip(chances, slots, strict=True)
        ]

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Gold and predicted intent, whether all of the answer is right, whether the gold intent is known, whether not,
        and counts of slots (`hone.metrics.entities.span_tally`): float64 [examples, 5 + 3 * types]."""
        said = [prediction["tags"] for prediction in predictions]
        slots = span_tally(columns["tags"], said, tagging_scores.types_of(self.tags))
        hits, given, true = (part.sum(axis=1) for part in np.split(slots, 3, axis=1))
        gold = np.array([self._ids[label] for label in columns["label"]], dtype=np.int64)
        intents = np.array([self._ids[prediction["label"]] for prediction in predictions], dtype=np.int64)
        whole = (gold == intents) & (hits == given) & (hits == true)
        return np.column_stack([gold, intents, whole, self._answers.scope(gold), slots]).astype(np.float64)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        gold, intents = tally[:, 0].astype(np.int64), tally[:, 1].astype(np.int64)
        slots = averages(tally[:, 5:].sum(axis=0))
        found: dict[str, float | None] = {
            "frame_accuracy": float(tally[:, 2].mean()),
            "intent_accuracy": float((gold == intents).mean()),
            "slot_f1": slots["micro_f1"],
            "slot_precision": slots["micro_precision"],
            "slot_recall": slots["micro_recall"],
        }
        if self._answers.unknown is None:
            return found
        return {**found, **scope_measures(gold, intents, self._answers.names, unknown=self._answers.unknown)}

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        slots = self._tagging.scored(predictions, columns)
        gold, said = columns["label"], [prediction["label"] for prediction in predictions]
        ids = np.array([[self._ids[one] for one in pair] for pair in zip(gold, said, strict=True)]).reshape(-1, 2)
        names, wanted, given = self._answers.names, ids[:, 0], ids[:, 1]
        right = wanted == given
        tables = {
            "per_class": per_class_table(counted(wanted, given, len(names)), names),
            "per_entity": slots.tables["per_entity"],
            **confusion_tables(wanted, given, names),
            **calibration_tables(np.array([prediction["score"] for prediction in predictions]), right),
        }
        return Scored(
            tables,
            slots.badness + ~right,
            slots.texts,
            [f"{label} · {found}" for label, found in zip(gold, slots.gold, strict=True)],
            [f"{label} · {found}" for label, found in zip(said, slots.said, strict=True)],
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool(one["label"] == other["label"]) and self._tagging.agrees(one, other)


def _tags(settings: IntentAndSlotsSettings) -> tuple[str, ...]:
    return tag_set(f"B-{kind}" for kind in settings.slots or ())

"""``sop`` and ``nsp``: how two parts of text belong together. They are read as the two texts of a pair, parted where a
sentence begins."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from hone.models.heads import HeadSpec, Outputs
from hone.tasks.objectives.objective import DocumentObjective, by_row
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch, IntArray, Rows


class TwoParts(DocumentObjective):
    """Base of both. Their scores, of the mean of all states, are ``logits`` [rows, 2]: as it was, and changed."""

    head = HeadSpec("sequence-mean", ("as it was", "changed"))

    def changed(
        self, one: IntArray, other: IntArray, *, rows: Rows, row: int, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        """What stands in place of two parts of ``row`` that belong together."""
        raise TypeError(f"{type(self).__name__} changes nothing")

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids``, ``attention_mask`` and ``token_type_ids`` int64 [rows, tokens]; ``label`` int64 [rows]."""
        tokenizer, label = self.tokenizer, rng.integers(0, 2, len(index))
        middle = self.documents.between
        texts, seconds = [], []
        for row, change in zip(index.tolist(), label, strict=True):
            parts = self._parted(rows, row, rng)
            one, other = self.changed(*parts, rows=rows, row=row, rng=rng) if change else parts
            texts.append([*tokenizer.prefix, *one.tolist(), *middle, *other.tolist(), *tokenizer.suffix])
            seconds.append(len(tokenizer.prefix) + len(one) + len(middle))
        ids, real = self.documents.padded(texts)
        types = (torch.arange(ids.shape[1]) >= torch.tensor(seconds)[:, None]) & real & tokenizer.types
        return {
            "input_ids": ids,
            "attention_mask": real.long(),
            "token_type_ids": types.long(),
            "label": torch.from_numpy(label),
        }

    def _parted(self, rows: Rows, row: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """A piece as two parts: cut where a sentence begins, in the middle where it is only one."""
        [ids] = self.documents.pieces(rows, np.array([row]))
        [sentences] = self.documents.pieces(rows, np.array([row]), "sentences")
        inner = sentences[(sentences > 0) & (sentences < len(ids))]
        cut = int(rng.choice(inner)) if len(inner) else len(ids) // 2
        return ids[:cut], ids[cut:]

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        label = batch["label"]
        return Loss(functional.cross_entropy(outputs["logits"].float(), label, reduction="sum"), float(len(label)))

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        logits, label = outputs["logits"].float().cpu(), batch["label"].cpu()
        lost = functional.cross_entropy(logits, label, reduction="none")
        return by_row(lost, logits.argmax(1) == label, torch.ones_like(label))


class SentenceOrder(TwoParts):
    """See `hone.tasks.objectives.settings.SopSettings`."""

    name = "sop"
    accuracy = "order_accuracy"

    def changed(
        self, one: IntArray, other: IntArray, *, rows: Rows, row: int, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        return other, one


class NextSentence(TwoParts):
    """See `hone.tasks.objectives.settings.NspSettings`."""

    name = "nsp"
    accuracy = "next_sentence_accuracy"

    def changed(
        self, one: IntArray, other: IntArray, *, rows: Rows, row: int, rng: np.random.Generator
    ) -> tuple[IntArray, IntArray]:
        ids, second = self._parted(rows, self._elsewhere(rows, row, rng), rng)
        if len(second) < len(other):  # as long as what followed, so that the length tells nothing
            second = np.concatenate([ids, second])[-len(other) :]
        return one, second[: len(other)]

    @staticmethod
    def _elsewhere(rows: Rows, row: int, rng: np.random.Generator) -> int:
        """A row of another document than that of ``row``, all alike; of a lone document any of its rows."""
        begin, end = np.searchsorted(rows.example, [rows.example[row], rows.example[row] + 1]).tolist()
        others = len(rows) - (end - begin)
        drawn = int(rng.integers(others or len(rows)))
        return drawn if not others or drawn < begin else drawn + end - begin

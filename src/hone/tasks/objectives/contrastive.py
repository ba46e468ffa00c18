"""``contrastive``: vectors of texts, by dropout as noise (SimCSE, Gao et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hone.models.heads import HeadSpec, Outputs
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.objective import DocumentObjective, by_row
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch, IntArray, Rows


class Contrastive(DocumentObjective):
    """A batch has every text twice. Without dropout both vectors would be the same, so held-out pieces are measured by
    their halves: whether the second half is the nearest to the first one among those of the batch."""

    name = "contrastive"
    accuracy = "nearest_accuracy"
    reads = 2
    head = HeadSpec("embedding-mean", ())

    def __init__(self, settings: Any, documents: Documents) -> None:
        super().__init__(settings, documents)
        self.head = HeadSpec(f"embedding-{settings.pooling}", ())

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [2 * rows, tokens]: all texts, and all again."""
        pieces = [piece.tolist() for piece in self.documents.pieces(rows, index)]
        return self._batch([*pieces, *pieces])

    def held_out(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        pieces = [piece.tolist() for piece in self.documents.pieces(rows, index)]
        firsts, seconds = [one[: len(one) // 2] for one in pieces], [one[len(one) // 2 :] for one in pieces]
        return self._batch([*firsts, *seconds])

    def _batch(self, texts: Sequence[list[int]]) -> Batch:
        ids, real = self.documents.padded([self.documents.framed_text(text) for text in texts])
        return {"input_ids": ids, "attention_mask": real.long()}

    def _scores(self, outputs: Outputs) -> tuple[Tensor, Tensor]:
        """Cosines over the temperature [texts, texts], and which of each row's is right."""
        one, other = functional.normalize(outputs["logits"].float(), dim=1).chunk(2)
        return one @ other.T / self.settings.temperature, torch.arange(len(one), device=one.device)

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        scores, right = self._scores(outputs)
        return Loss(functional.cross_entropy(scores, right, reduction="sum"), float(len(scores)))

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        scores, right = (value.cpu() for value in self._scores(outputs))
        lost = functional.cross_entropy(scores, right, reduction="none")
        return by_row(lost, scores.argmax(1) == right, torch.ones_like(right))

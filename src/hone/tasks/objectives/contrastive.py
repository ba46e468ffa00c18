"""``contrastive``: vectors of texts, by pairs that say the same and by dropout as noise (SimCSE, Gao et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.models.heads import HeadSpec, Outputs
from hone.tasks.objectives.documents import PAIR, Documents
from hone.tasks.objectives.objective import DocumentObjective
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch, IntArray, Rows

TOGETHER = 64  # held-out texts that are compared with one another
GROUPED = 0x6209  # the seed of which they are


class Contrastive(DocumentObjective):
    """A batch has every text and what says the same: its pair, or the text again where it has none. Without dropout
    both vectors of that would be the same, so held-out pieces without a pair are measured by their halves: whether the
    second half is the nearest to the first one. Held-out texts are compared in groups that their number alone decides,
    not in the batches they are read in."""

    name = "contrastive"
    accuracy = "nearest_accuracy"
    reads = 2
    pairs = True
    head = HeadSpec("embedding-mean", ())

    def __init__(self, settings: Any, documents: Documents) -> None:
        super().__init__(settings, documents)
        self.head = HeadSpec(f"embedding-{settings.pooling}", ())

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [2 * rows, tokens]: all texts, and what says the same of each."""
        texts = self.documents.pieces(rows, index)
        return self._batch(texts, [pair if len(pair) else text for text, pair in self._paired(rows, index, texts)])

    def held_out(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        texts = self.documents.pieces(rows, index)
        both = [(text, pair) if len(pair) else (text[: len(text) // 2], text[len(text) // 2 :])
                for text, pair in self._paired(rows, index, texts)]  # fmt: skip
        return self._batch([one for one, _ in both], [other for _, other in both])

    def _paired(self, rows: Rows, index: IntArray, texts: list[IntArray]) -> list[tuple[IntArray, IntArray]]:
        return list(zip(texts, self.documents.pieces(rows, index, PAIR), strict=True))

    def _batch(self, texts: Sequence[IntArray], others: Sequence[IntArray]) -> Batch:
        ids, real = self.documents.padded([self.documents.framed_text(text.tolist()) for text in (*texts, *others)])
        return {"input_ids": ids, "attention_mask": real.long()}

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        one, other = vectors(outputs).chunk(2)
        scores = one @ other.T / self.settings.temperature  # [texts, texts]
        right = torch.arange(len(one), device=one.device)
        return Loss(functional.cross_entropy(scores, right, reduction="sum"), float(len(scores)))

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        """Both vectors of each text, float32 [rows, 2 * width]."""
        return torch.cat(vectors(outputs).chunk(2), dim=1).cpu().numpy()

    @property
    def columns(self) -> int:
        """Loss, a one, whether the right text is the nearest, the squared distance to it, the sum of a Gaussian kernel
        over the texts of the group, and how many those are."""
        return 6

    def settled(self, tally: FloatArray) -> FloatArray:
        order = np.random.default_rng(GROUPED).permutation(len(tally))
        out = np.empty((len(tally), self.columns))
        for group in np.array_split(order, max(1, math.ceil(len(order) / TOGETHER))):
            one, other = np.split(tally[group].astype(np.float64), 2, axis=1)
            out[group] = compared(one, other, self.settings.temperature)
        return out

    @classmethod
    def specs(cls) -> Mapping[str, MeasureSpec]:
        distance = MeasureSpec(better="lower", unit="")
        return {**super().specs(), "contrastive_alignment": distance, "contrastive_uniformity": distance}

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        _, count, right, distance, kernel, others = tally.sum(axis=0)
        return {
            "nearest_accuracy": float(right / count) if count else None,
            "contrastive_alignment": float(distance / count) if count else None,
            "contrastive_uniformity": math.log(kernel / others) if others else None,
        }


def vectors(outputs: Outputs) -> Tensor:
    """Of every text one of length 1, float32 [texts, width]."""
    return functional.normalize(outputs["logits"].float(), dim=1)


def compared(one: FloatArray, other: FloatArray, temperature: float) -> FloatArray:
    """What `Contrastive.columns` says of each text of a group. Distance and kernel are those of alignment and
    uniformity (Wang and Isola 2020): ``|x - y|**2`` of a pair, and ``exp(-2 * |x - y|**2)`` of any two first texts.

    Args:
        one, other: Vectors of length 1 of the texts and of what says the same of each, float64 [texts, width].
    """
    scores = one @ other.T / temperature
    own = np.diag(scores)
    highest = scores.max(axis=1)
    lost = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1)) - own
    kernel = np.exp(-2 * np.maximum(0, 2 - 2 * one @ one.T))
    np.fill_diagonal(kernel, 0.0)
    count = len(one)
    ones = np.ones(count)
    nearest = (own == highest) / (scores == highest[:, None]).sum(axis=1)  # of several as near, one by chance
    parts = (lost, ones, nearest, ((one - other) ** 2).sum(axis=1), kernel.sum(axis=1), ones * (count - 1))
    return np.stack(parts, axis=1)

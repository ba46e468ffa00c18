"""Pairs of texts with what their loss needs: a task that the loop trains."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hone.core.choice import opened
from hone.models.heads import Outputs
from hone.tasks.pairs import Pairs, log_probabilities, summed
from hone.tasks.protocol import FloatArray, Loss, LossOptions
from hone.tasks.rows import Batch, IntArray, Rows
from hone.train.prefer_settings import LOSSES, PreferSettings
from hone.train.preference_losses import Told, log_not, surprise


class Preferred(Pairs):
    """`Pairs` with a preference loss.

    Args:
        pairs: The task over pairs.
        settings: Which loss, and what is beside it.
        reference: Log-probabilities of both texts of every training row by the model that training starts from, float64
            [rows, 2].
    """

    def __init__(self, pairs: Pairs, settings: PreferSettings, reference: FloatArray) -> None:
        super().__init__(pairs.task, reference=reference)
        self._loss, self._chosen = opened(settings.loss, LOSSES)
        self._sft_weight = settings.sft_weight
        self._reference = torch.from_numpy(reference.astype(np.float32))

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """As `Pairs`, with ``reference`` float32 [batch, 2], and ``shared`` int64 [batch]: how many tokens both texts
        of a row begin with."""
        batch = super().collate(rows, index)
        texts = torch.split(batch["gold"], batch["counts"].tolist())
        both = zip(texts[: len(index)], texts[len(index) :], strict=True)
        batch["shared"] = torch.tensor([_shared(one, other) for one, other in both])
        batch["reference"] = self._reference[torch.from_numpy(index)]
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """The loss a pair; ``options`` shape losses over labels, and none of this."""
        told = told_of(outputs, batch)
        each: Tensor = self._loss.of(self._chosen, told)
        if self._sft_weight:
            each = each + self._sft_weight * surprise(told)
        return Loss(each.sum(), float(len(each)))


def told_of(outputs: Outputs, batch: Batch) -> Told:
    """What a loss is told of a batch of `Preferred`."""

    def unlikely() -> tuple[Tensor, Tensor]:
        counts = batch["counts"].chunk(2)[1]
        began = int(batch["counts"].sum() - counts.sum())
        logits, gold = outputs["logits"][began:].float(), batch["gold"][began:]
        place = torch.arange(len(gold), device=gold.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        own = place >= batch["shared"].repeat_interleave(counts)
        each = torch.where(own, log_not(logits, gold), 0.0)
        return summed(each, counts), (counts - batch["shared"]).float()

    return Told(
        likelihoods=torch.stack(log_probabilities(outputs, batch), dim=1),
        reference=batch["reference"],
        tokens=torch.stack(batch["counts"].chunk(2), dim=1).float(),
        unlikely=unlikely,
    )


def _shared(one: Tensor, other: Tensor) -> int:
    """How many tokens both begin with."""
    shorter = min(len(one), len(other))
    return int((one[:shorter] == other[:shorter]).cumprod(0).sum())

"""``aae``: a text is written again from its code, and no discriminator can tell the codes from draws of a normal
distribution (Makhzani et al. 2016). What is read has lost some of its words, for else nothing brings like texts to like
codes (Shen et al. 2020).

All learn in the same step. The discriminator learns of codes as they are; the reader learns through a discriminator
that is fixed, to be taken for the prior rather than not to be taken for itself, which teaches it more while it is found
out (Goodfellow et al. 2014). That begins to count little by little: else codes are drawn into one point before they say
anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.models.heads import HeadSpec, Outputs
from hone.tasks.objectives.autoencoding import Autoencoding, Tokens, active
from hone.tasks.objectives.objective import TALLY
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch


class AdversarialText(Autoencoding):
    """See `hone.tasks.objectives.settings.AaeSettings`."""

    name = "aae"
    drawn = "prior"
    head = HeadSpec("adversarial-autoencoder", ())
    perplexity = "aae_perplexity"
    accuracy = "aae_accuracy"

    @property
    def columns(self) -> int:
        """Of the tokens told, then what the discriminator told right of two, a one, and the sums of codes and of their
        squares."""
        return TALLY + 2 + 2 * int(self.settings.latent_size)

    def more_sizes(self) -> dict[str, Any]:
        return {"discriminator": self.settings.discriminator_size, "rate": self.settings.discriminator_rate}

    def read(self, ids: Tokens, rng: np.random.Generator) -> Tokens:
        """Without some of its tokens, one of them at least being left."""
        kept = rng.random(len(ids)) >= self.settings.word_deletion
        kept[int(rng.integers(len(ids)))] = True
        return [token for token, stays in zip(ids, kept.tolist(), strict=True) if stays]

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        """That of the tokens told, and of every text the reader's and the discriminator's, once a token."""
        told, fooled = super().loss(outputs, batch), outputs["fooled"].float()
        reader = functional.binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled), reduction="sum")
        found, real = discriminated(outputs)
        discriminator = functional.binary_cross_entropy_with_logits(found, real, reduction="sum") / 2
        return Loss(told.total + self.adversarial_weight * reader + discriminator, told.weight)

    @property
    def adversarial_weight(self) -> float:
        """Of the reader's loss at this step."""
        return self.risen(self.settings.adversarial_weight, over=self.settings.adversarial_warmup)

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        codes = outputs["codes"].cpu().double()  # there: not every device has float64
        found, real = (value.cpu() for value in discriminated(outputs))
        right = ((found > 0) == (real > 0)).view(2, -1).double().sum(0)[:, None]
        parts = (right, torch.ones_like(right), codes, codes**2)
        return np.hstack([super().tally(outputs, batch), *(part.numpy() for part in parts)])

    @classmethod
    def specs(cls) -> Mapping[str, MeasureSpec]:
        return {
            **super().specs(),
            "aae_told_apart": MeasureSpec(better=None),
            "aae_divergence": MeasureSpec(better="lower", unit="", interval="none"),
            "aae_active_units": MeasureSpec(better="higher", unit="", interval="none"),
        }

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        _, count, _, right, rows, *codes = tally.sum(axis=0)
        if not count:
            return dict.fromkeys(self.specs())
        means, squares = np.split(np.array(codes) / rows, 2)
        variances = np.maximum(squares - means**2, np.finfo(np.float64).tiny)
        return {
            **super().measures(tally[:, :TALLY]),
            "aae_told_apart": float(right / (2 * rows)),
            "aae_divergence": float((squares - 1 - np.log(variances)).sum() / 2),
            "aae_active_units": active(variances),
        }


def discriminated(outputs: Outputs) -> tuple[Tensor, Tensor]:
    """The discriminator's scores, float32 [2 * rows], and 1 where one is of a draw of the prior."""
    found = outputs["told"].float()
    return found, (torch.arange(len(found), device=found.device) >= len(found) // 2).float()

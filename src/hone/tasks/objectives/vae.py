"""``vae``: a text is written again from a code drawn near its own place in a normal distribution (Bowman et al. 2016).

The decoder would rather do without a code, and then learns to: so it is hindered by hidden words, the divergence of
codes from the prior begins to cost little by little, and some of it may cost nothing at all."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hone.core.measures import MeasureSpec
from hone.models.heads import HeadSpec, Outputs
from hone.tasks.objectives.autoencoding import Autoencoding, active
from hone.tasks.objectives.objective import TALLY
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch


class VariationalText(Autoencoding):
    """See `hone.tasks.objectives.settings.VaeSettings`."""

    name = "vae"
    drawn = "noise"
    head = HeadSpec("variational-autoencoder", ())
    perplexity = "vae_perplexity"
    accuracy = "vae_accuracy"

    @property
    def columns(self) -> int:
        """Of the tokens told, then the divergence, a one, and the sums of means and of their squares."""
        return TALLY + 2 + 2 * int(self.settings.latent_size)

    def hindered(self, written: Tensor, rng: np.random.Generator) -> Tensor:
        """Some tokens but the first are hidden."""
        hidden = torch.from_numpy(rng.random(written.shape) < self.settings.word_dropout)
        hidden[:, 0] = False
        assert self.tokenizer.mask_id is not None  # `ObjectiveEntry.masks`
        return torch.where(hidden, self.tokenizer.mask_id, written)

    @property
    def kl_weight(self) -> float:
        """What the divergence costs at this step."""
        return self.risen(self.settings.kl_weight, over=self.settings.kl_warmup)

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        """The negative of the evidence's lower bound of all texts, once a token."""
        told = super().loss(outputs, batch)
        divergence = divergences(outputs)
        if self.settings.free_bits:
            free = self.settings.free_bits * math.log(2)
            divergence = divergence.mean(0, keepdim=True).clamp(min=free) * len(divergence)
        return Loss(told.total + self.kl_weight * divergence.sum(), told.weight)

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        means = outputs["means"].cpu().double()  # there: not every device has float64
        divergence = divergences(outputs).cpu().double().sum(1, keepdim=True)
        parts = (divergence, torch.ones_like(divergence), means, means**2)
        return np.hstack([super().tally(outputs, batch), *(part.numpy() for part in parts)])

    @classmethod
    def specs(cls) -> Mapping[str, MeasureSpec]:
        return {
            "vae_bits_per_token": MeasureSpec(better="lower", unit=""),
            **super().specs(),
            "vae_divergence": MeasureSpec(better=None, unit=""),
            "vae_active_units": MeasureSpec(better="higher", unit="", interval="none"),
        }

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        lost, count, _, divergence, rows, *codes = tally.sum(axis=0)
        if not count:
            return dict.fromkeys(self.specs())
        sums, squares = np.split(np.array(codes), 2)
        return {
            "vae_bits_per_token": float((lost + divergence) / count / math.log(2)),
            **super().measures(tally[:, :TALLY]),
            "vae_divergence": float(divergence / rows),
            "vae_active_units": active(squares / rows - (sums / rows) ** 2),
        }


def divergences(outputs: Outputs) -> Tensor:
    """The Kullback-Leibler divergence of each number of each code from the prior, in nats, float32 [rows, latent]."""
    means, logs = outputs["means"].float(), outputs["log_variances"].float()
    return (means**2 + logs.exp() - 1 - logs) / 2

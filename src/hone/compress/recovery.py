"""Settings of the methods that take weights away and then let the rest learn; no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hone.compress.settings import Count, Method, Positive
from hone.core.extras import TO_TRAIN
from hone.core.settings import Settings

Part = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class RecoverySettings(Settings):
    """How what remains learns what the bundle said before, as in distill.

    Attributes:
        num_train_epochs: 0: not at all.
        own, temperature, per_device_train_batch_size, learning_rate, head_learning_rate, save_steps: As in distill.
    """

    num_train_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 3.0
    own: Annotated[float, Field(ge=0, le=1)] = 0.3
    temperature: Positive = 2.0
    per_device_train_batch_size: Count = 32
    learning_rate: Positive = 1e-4
    head_learning_rate: Positive | None = None
    save_steps: Count | None = 500


class PruneSettings(RecoverySettings):
    """Settings of the method ``prune``: whole heads, inner units and layers go, those that the loss misses least.

    Attributes:
        heads: Share of all attention heads that goes; every layer keeps one.
        inner: Share of all inner units of the feed-forward blocks that goes; every layer keeps one.
        layers: How many layers go, before the others.
        measured_rows: Labeled rows of ``train`` that importance is measured on, drawn at random; fewer if there are
            fewer.
    """

    heads: Part = 0.25
    inner: Part = 0.5
    layers: Annotated[int, Field(ge=0)] = 0
    measured_rows: Count = 512

    @model_validator(mode="after")
    def _something(self) -> PruneSettings:
        if not (self.heads or self.inner or self.layers):
            raise ValueError("heads, inner or layers above 0: nothing would be pruned")
        return self


class SparseSettings(RecoverySettings):
    """Settings of the method ``sparse``: single weights become zero, in every linear layer of the encoder alike.

    Attributes:
        sparsity: Share of each matrix that is zero in the end.
        by: ``magnitude``: the smallest weights go (Han et al. 2015). ``movement``: those that training drives toward
            zero (Sanh et al. 2020), which needs epochs.
    """

    sparsity: Share = 0.5
    by: Literal["magnitude", "movement"] = "magnitude"

    @model_validator(mode="after")
    def _moves(self) -> SparseSettings:
        if self.by == "movement" and not self.num_train_epochs:
            raise ValueError("num_train_epochs above 0, since by is 'movement'")
        return self


class LowRankSettings(RecoverySettings):
    """Settings of the method ``low-rank``: one weight becomes the product of two narrow ones, where that is smaller.

    Attributes:
        embedding: Share of the word-embedding table, see ``of``; None: it stays as it is.
        linear: The same of every linear layer of the encoder.
        of: What the shares are shares of: ``weights`` that the factors hold, or ``energy``, the sum of squares that
            they keep.
        by: What is approximated best: what the layers give for the ``inputs`` that the texts cause, and the embeddings
            of the tokens as often as they occur; or the ``weights`` themselves.
        measured_rows: Rows of ``train`` and ``unlabeled`` that inputs are measured on, drawn at random; fewer if there
            are fewer.
    """

    embedding: Share | None = 0.5
    linear: Share | None = 0.6
    of: Literal["weights", "energy"] = "weights"
    by: Literal["inputs", "weights"] = "inputs"
    measured_rows: Count = 512

    @model_validator(mode="after")
    def _something(self) -> LowRankSettings:
        if self.embedding is None and self.linear is None:
            raise ValueError("embedding or linear other than null: nothing would be factored")
        return self


PRUNE = Method("prune", PruneSettings, "hone.compress.prune:prune", needs=TO_TRAIN, extra="train")
SPARSE = Method("sparse", SparseSettings, "hone.compress.sparse:thin_out", needs=TO_TRAIN, extra="train")
LOW_RANK = Method("low-rank", LowRankSettings, "hone.compress.low_rank:factorize", needs=TO_TRAIN, extra="train")

"""Settings of ``pretrain``; no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from hone.bundle.stage import CORPUS, HELD_OUT, Stage
from hone.core.choice import all_decided
from hone.tasks.objectives.settings import OBJECTIVES
from hone.train.settings import Count, LoopSettings, Positive


class PretrainSettings(LoopSettings):
    """Settings of the stage ``pretrain``; those of every training mean the same, but for what is said here.

    Attributes:
        objective: A name of `OBJECTIVES`, or ``{name: ..., ...}`` with its settings, or a list of such: then the sum of
            their mean losses is learned, each by its ``weight``.
        max_length: Most tokens of a piece that a document is read in, special ones included; None: the most the base
            reads.
        metric_for_best_model: A measure of the first objective when None.
    """

    objective: list[dict[str, Any]] = [{"name": "mlm"}]
    max_length: Annotated[int, Field(ge=8)] | None = None
    num_train_epochs: Positive = 1.0
    per_device_train_batch_tokens: Count | None = 8192
    learning_rate: Positive = 5e-4
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    max_loss_leap: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = 3.0
    keep: Literal["best", "last"] = "last"

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives(cls, value: Any) -> list[dict[str, Any]]:
        several = value if isinstance(value, list) else [value]
        if not several:
            raise ValueError("at least one objective")
        return all_decided(several, OBJECTIVES)


PRETRAIN = Stage(
    kind="pretrain",
    settings=PretrainSettings,
    reads=(CORPUS, HELD_OUT),
    changes="model",
    work="hone.train.pretrain:pretrain",
    check="hone.train.pretrain_faults:find_faults",
    does_task=False,
)

"""Settings of ``pretrain``; no torch."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hone.bundle.stage import CORPUS, HELD_OUT, Stage
from hone.core.choice import decided
from hone.core.extras import TO_TRAIN
from hone.core.settings import Settings
from hone.data.fields import Field as Column
from hone.text.segmenters.table import SEGMENTERS
from hone.train.settings import Count, LoopSettings, ParallelSettings, Positive, objectives

TEXT, LABEL, SCORE = Column("text", "text"), Column("label", "label"), Column("score", "score")
BOTH = (Column("text_a", "text"), Column("text_b", "text"))
PROBED = ((TEXT, LABEL), (*BOTH, LABEL), (*BOTH, SCORE))  # what rows that a base is judged by may have


def measure_of(columns: Container[str]) -> Literal["accuracy", "spearman"]:
    """What a probe on rows with these columns measures."""
    return "spearman" if SCORE.name in columns else "accuracy"


class ProbeSettings(Settings):
    """Labeled data that a base is judged by: what a linear classifier tells from its vectors, or which texts are alike.

    Attributes:
        on: The name of data with the fields of one of `PROBED`.
        max_rows: Of more rows so many are drawn.
    """

    on: str
    max_rows: Annotated[int, Field(ge=10)] = 4000


class PretrainSettings(LoopSettings):
    """Settings of the stage ``pretrain``; those of every training mean the same, but for what is said here.

    Attributes:
        objective: A name of `OBJECTIVES`, or ``{name: ..., ...}`` with its settings, or a list of such: then the sum of
            their mean losses is learned, each by its ``weight``.
        max_length: Most tokens of a piece that a document is read in, special ones included; None: the most the base
            reads.
        segmenter: What cuts Chinese into words, which ``mlm`` then hides whole: a name of `SEGMENTERS`, or
            ``{name: ..., ...}`` with its settings; None: each character is a word.
        metric_for_best_model: A measure of any of the objectives, the first one's first when None; of a probe it is
            called ``NAME.accuracy`` or ``NAME.spearman``.
        probes: Labeled data that the base is judged by whenever it is measured, and before: names of data, or
            ``{on: NAME, ...}`` with `ProbeSettings`. None of it is learned.
        parallel: How several processes divide the weights among them; None: each has all.
    """

    objective: list[dict[str, Any]] = [{"name": "mlm"}]
    max_length: Annotated[int, Field(ge=8)] | None = None
    segmenter: dict[str, Any] | None = None
    num_train_epochs: Positive = 1.0
    per_device_train_batch_tokens: Count | None = 8192
    learning_rate: Positive = 5e-4
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    max_loss_leap: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = 3.0
    keep: Literal["best", "last"] = "last"
    probes: list[ProbeSettings] = []
    parallel: ParallelSettings | None = None

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives(cls, value: Any) -> list[dict[str, Any]]:
        return objectives(value)

    @field_validator("segmenter", mode="before")
    @classmethod
    def _segmenter(cls, value: Any) -> dict[str, Any] | None:
        return None if value is None else decided(value, SEGMENTERS)

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.keep == "best" and self.eval_strategy == "no":
            raise ValueError("an eval_strategy other than 'no', since keep is 'best'")
        return self

    @field_validator("probes", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return [{"on": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    @property
    def also_reads(self) -> tuple[str, ...]:
        """Names of data beside those that the stage always reads."""
        return tuple(probe.on for probe in self.probes)


PRETRAIN = Stage(
    kind="pretrain",
    settings=PretrainSettings,
    reads=(CORPUS, HELD_OUT),
    changes="model",
    work="hone.train.pretrain:pretrain",
    check="hone.train.pretrain_faults:find_faults",
    does_task=False,
    needs=TO_TRAIN,
    shared=True,
)

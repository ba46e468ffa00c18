"""Settings of ``finetune``; no torch. Where transformers has a name for a setting, it is that name."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from hone.bundle.stage import Stage
from hone.core.choice import all_decided, decided
from hone.core.extras import TO_TRAIN
from hone.core.settings import Settings, unread
from hone.models.adapters.table import METHODS
from hone.tasks.objectives.settings import OBJECTIVES
from hone.text.segmenters.table import SEGMENTERS
from hone.train.batches import batches_of
from hone.train.schedule import Shape
from hone.train.techniques import TECHNIQUES, Load, load_of

Tracker = Literal["tensorboard", "mlflow", "wandb"]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
PLACES = 6  # of a step, to which a number of epochs is taken at its word


def objectives(value: Any) -> list[dict[str, Any]]:
    """Decided entries of `OBJECTIVES`, of one or of a list.

    Raises:
        ValueError: There is none.
    """
    several = value if isinstance(value, list) else [value]
    if not several:
        raise ValueError("at least one objective")
    return all_decided(several, OBJECTIVES)


class LoopSettings(Settings):
    """Settings of every stage that trains by the one loop.

    Attributes:
        num_train_epochs: Passes over the training rows.
        max_steps: Stop after so many optimizer steps; None: by epochs alone.
        per_device_train_batch_size: Rows of one forward pass.
        per_device_train_batch_tokens: Tokens of one forward pass in place of rows: batches of short texts have more
            rows, and count for more by as much. None: by rows.
        gradient_accumulation_steps: Forward passes of one optimizer step; the gradient is that of their union.
        learning_rate: Peak rate of the backbone.
        head_learning_rate: Peak rate of the new head; None: the backbone's.
        embedding_learning_rate: Peak rate of the backbone's table of tokens, and so of scores over the vocabulary that
            are tied to it; None: the backbone's.
        optim: ``adamw`` (Loshchilov and Hutter 2019), ``adafactor`` (Shazeer and Stern 2018), or ``muon``, which makes
            the updates of the backbone's matrices orthogonal and leaves the rest to AdamW (`hone.train.muon`).
        weight_decay: Decoupled decay; biases and norms have none.
        lr_scheduler_type: Shape of the rate after warmup.
        warmup_ratio: Share of the steps over which the rate rises from zero.
        max_grad_norm: Gradient norm above which gradients are scaled down; None: never.
        max_loss_leap: A step whose loss is so many times the running mean, and more than one above it, ends the
            training, its batch kept; None: only one that is no number does.
        dropout: Dropout of backbone and head; None: the base's own.
        mixed_precision: ``bf16`` or ``fp16`` where the device has it, else an error.
        torch_compile: Whether the model is compiled before it trains; ``auto`` where an estimate, which is said, has
            it pay back within the run.
        train_sampling_strategy: ``group_by_length`` puts alike lengths into a batch; ``random`` does not.
        eval_strategy: When the validation split is measured: after each epoch, every ``eval_steps``, or never.
        metric_for_best_model: A measure of the task, its main one when None.
        keep: Which weights remain: the best by validation, or the last.
        early_stopping_patience: Measurements without improvement before training stops; None: never.
        save_steps: A checkpoint every so many optimizer steps; None: none.
        logging_steps: A line in the log every so many steps.
        techniques: Entries of `TECHNIQUES`, each a name, or ``{name: ..., ...}`` with its settings.
        report_to: Trackers that get the log as well.
    """

    num_train_epochs: Positive = 3.0
    max_steps: Count | None = None
    per_device_train_batch_size: Count = 32
    per_device_train_batch_tokens: Count | None = None
    gradient_accumulation_steps: Count = 1
    learning_rate: Positive = 2e-4
    head_learning_rate: Positive | None = None
    embedding_learning_rate: Positive | None = None
    optim: Literal["adamw", "adafactor", "muon"] = "adamw"
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    lr_scheduler_type: Shape = "linear"
    warmup_ratio: Share = 0.1
    max_grad_norm: Positive | None = 1.0
    max_loss_leap: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    dropout: Share | None = None
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    torch_compile: bool | Literal["auto"] = "auto"
    train_sampling_strategy: Literal["group_by_length", "random"] = "group_by_length"
    eval_strategy: Literal["epoch", "steps", "no"] = "epoch"
    eval_steps: Count | None = None
    metric_for_best_model: str | None = None
    keep: Literal["best", "last"] = "best"
    early_stopping_patience: Count | None = None
    save_steps: Count | None = 500
    logging_steps: Count = 10
    techniques: list[dict[str, Any]] = []
    report_to: list[Tracker] = []

    @field_validator("techniques", mode="before")
    @classmethod
    def _chosen(cls, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            raise ValueError("a list of techniques")
        return all_decided(value, TECHNIQUES)

    @property
    def load(self) -> Load:
        """What the techniques cost."""
        return load_of(self.techniques)

    def batches(self, lengths: NDArray[np.int64]) -> int:
        """Forward passes of an epoch over rows of so many tokens each."""
        return batches_of(lengths, size=self.per_device_train_batch_size, tokens=self.per_device_train_batch_tokens)

    def steps(self, lengths: NDArray[np.int64]) -> tuple[int, int]:
        """Optimizer steps of an epoch over rows of so many tokens each, and of the whole training."""
        per_epoch = math.ceil(self.batches(lengths) / self.gradient_accumulation_steps)
        exact = round(per_epoch * self.num_train_epochs, PLACES)  # 100 times 1.1 is a little more than 110
        total = max(1, math.ceil(exact))
        return per_epoch, min(total, self.max_steps or total)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.eval_strategy == "steps" and self.eval_steps is None:
            raise ValueError("eval_steps, since eval_strategy is 'steps'")
        if self.eval_strategy != "steps" and self.eval_steps is not None:
            raise ValueError("eval_strategy 'steps', since eval_steps is set")
        asked = [key for key in ("early_stopping_patience", "metric_for_best_model") if getattr(self, key) is not None]
        if asked and self.eval_strategy == "no":
            raise ValueError(f"an eval_strategy other than 'no', since {asked[0]} is set")
        own = {"adam_beta1", "adam_beta2", "adam_epsilon"} if self.optim == "adafactor" else set()
        if wrong := unread(self, {"optim adamw or muon": own}):
            raise ValueError(wrong[0])
        return self


class ParallelSettings(Settings):
    """Weights that several processes divide among them; with one process there is nothing to divide.

    Attributes:
        shard: Each keeps a part of weights, gradients and moments, and is sent the rest of a layer when that is
            computed: ``full`` drops that again at once (ZeRO stage 3, Rajbhandari et al. 2020), ``gradients`` after the
            way back (stage 2).
        tensor: So many compute each layer together, each some of its heads and inner units (Shoeybi et al. 2019).
    """

    shard: Literal["full", "gradients"] = "full"
    tensor: Count = 1


class SamplingSettings(Settings):
    """Rows of rare labels come oftener (see `hone.tasks.sampling`).

    Attributes:
        power: Of the inverse frequency of a row's label that it comes by: 1 brings all labels up to the most frequent
            one, less not as far.
        max_repeats: Times that no row comes oftener than in an epoch.
    """

    power: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_repeats: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 10.0


class JointSettings(Settings):
    """Objectives of pretraining beside the task.

    Attributes:
        objective: As of ``pretrain``.
        segmenter: What cuts Chinese into words, as of ``pretrain``.
        on: The data whose texts they learn: ``unlabeled``, rows with a ``text``, or ``corpus``.
        weight: Of their loss beside the task's.
        schedule: Whether the weight stays (``constant``) or falls in a line to nothing (``falling``).
    """

    objective: list[dict[str, Any]] = [{"name": "mlm"}]
    segmenter: dict[str, Any] | None = None
    on: Literal["unlabeled", "corpus"] = "unlabeled"
    weight: Positive = 1.0
    schedule: Literal["constant", "falling"] = "constant"

    @field_validator("objective", mode="before")
    @classmethod
    def _objectives(cls, value: Any) -> list[dict[str, Any]]:
        return objectives(value)

    @field_validator("segmenter", mode="before")
    @classmethod
    def _segmenter(cls, value: Any) -> dict[str, Any] | None:
        return None if value is None else decided(value, SEGMENTERS)


class FinetuneSettings(LoopSettings):
    """Settings of the stage ``finetune``.

    Attributes:
        joint: Text without labels that is learned in every step beside the rows; None: none.
        method: A name of `METHODS`, or ``{name: ..., ...}`` with its settings: which weights learn, and what is put
            beside them. ``full`` updates every weight.
        base_bits: The base beside an adapter is held in so many bits a weight of its linear layers; None: in float32.
        freeze_layers: The embeddings and so many of the lowest layers learn nothing and run without dropout; on a CPU
            their states are made once and kept on disk, so that an epoch pays for the upper layers alone.
        head_init: ``probe`` fits a new head to the base's own features before anything else is trained (Kumar et al.
            2022), for labels or numbers of whole texts; ``random`` does not.
        label_smoothing_factor: Share of each target given to all labels evenly.
        class_weights: ``balanced`` weighs labels by inverse frequency in an epoch, ``effective`` by the inverse
            effective number of examples, which rises less for rare ones (Cui et al. 2019); or a weight for each label
            by name.
        sampling: How much oftener rows of rare labels come; None: every row once an epoch.
        parallel: How several processes divide the weights among them; None: each has all.
    """

    method: dict[str, Any] = {"name": "full"}
    base_bits: Literal[8, 4] | None = None
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    head_init: Literal["random", "probe"] = "random"
    label_smoothing_factor: Share = 0.0
    class_weights: Literal["none", "balanced", "effective"] | dict[str, Positive] = "none"
    joint: JointSettings | None = None
    sampling: SamplingSettings | None = None
    parallel: ParallelSettings | None = None

    @property
    def also_reads(self) -> tuple[str, ...]:
        """Names of data beside those that the stage always reads."""
        return () if self.joint is None else (self.joint.on,)

    @field_validator("method", mode="before")
    @classmethod
    def _method(cls, value: Any) -> dict[str, Any]:
        return decided(value, METHODS)


FINETUNE = Stage(
    kind="finetune",
    settings=FinetuneSettings,
    reads=("train", "validation"),
    changes="model",
    work="hone.train.finetune:finetune",
    check="hone.train.faults:find_faults",
    needs=TO_TRAIN,
    shared=True,
)

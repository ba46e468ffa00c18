"""Settings of ``prefer`` and the table of its losses; no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from hone.bundle.stage import Stage
from hone.core.choice import decided
from hone.core.extras import TO_TRAIN
from hone.core.settings import Settings
from hone.core.tables import Table
from hone.tasks.fields import PAIRS, VALIDATION_PAIRS
from hone.train.settings import FinetuneSettings, Positive

if TYPE_CHECKING:
    from torch import Tensor

    from hone.train.preference_losses import Told

LOSSES = Table(
    "preference loss",
    {
        "dpo": "hone.train.prefer_settings:DPO",
        "ipo": "hone.train.prefer_settings:IPO",
        "unlikelihood": "hone.train.prefer_settings:UNLIKELIHOOD",
    },
    group="hone.preference_losses",
)


@dataclass(frozen=True)
class PreferenceLoss:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        work: ``module:function`` that gives the loss of each pair, float32 [pairs], of
            ``(settings, hone.train.preference_losses.Told)``.
    """

    name: str
    settings: type[Settings]
    work: str

    def of(self, settings: Settings, told: Told) -> Tensor:
        """The loss of each pair, float32 [pairs]."""
        module, _, name = self.work.partition(":")
        formula: Callable[[Settings, Told], Tensor] = getattr(importlib.import_module(module), name)
        return formula(settings, told)


class DpoSettings(Settings):
    """Settings of the loss ``dpo`` (Rafailov et al. 2023).

    Attributes:
        beta: What log ratios to the parent are multiplied by: the smaller, the further the model may go from it.
        label_smoothing: How often a pair is taken to be the wrong way round (conservative DPO, Mitchell 2023).
    """

    beta: Positive = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0


class IpoSettings(Settings):
    """Settings of the loss ``ipo`` (Azar et al. 2023).

    Attributes:
        tau: The log ratios of both texts are to part by ``1 / (2 tau)`` and no further.
        per_token: A text's log ratio is the mean over its tokens, as its authors have it in practice, so that long
            texts do not part by more; False: the sum, as in the paper's formula.
    """

    tau: Positive = 0.1
    per_token: bool = True


class UnlikelihoodSettings(Settings):
    """Settings of the loss ``unlikelihood`` (Welleck et al. 2019): the better text is learned as by ``finetune``, the
    worse one unlearned from where it parts from it. The parent is not asked.

    Attributes:
        weight: Of unlearning beside learning, both a token.
    """

    weight: Positive = 1.0


DPO = PreferenceLoss("dpo", DpoSettings, "hone.train.preference_losses:dpo")
IPO = PreferenceLoss("ipo", IpoSettings, "hone.train.preference_losses:ipo")
UNLIKELIHOOD = PreferenceLoss("unlikelihood", UnlikelihoodSettings, "hone.train.preference_losses:unlikelihood")


class PreferSettings(FinetuneSettings):
    """Settings of the stage ``prefer``; those of ``finetune`` mean the same, but for what is said here.

    Attributes:
        loss: A name of `LOSSES`, or ``{name: ..., ...}`` with its settings; ``dpo`` where no name is among them.
        sft_weight: Of how surprised the model is by the better text, a token, beside the loss (Pang et al. 2024): with
            it the better text does not become less likely while the worse one does so faster. 0: it does not count.
        per_device_train_batch_size: Pairs of one forward pass, each of two texts.
        per_device_train_batch_tokens: Tokens of both texts of all its pairs.
        metric_for_best_model: A measure of pairs; ``preference_accuracy`` when None.
    """

    loss: dict[str, Any] = {"name": "dpo", "beta": 0.1, "label_smoothing": 0.0}
    sft_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    num_train_epochs: Positive = 1.0
    learning_rate: Positive = 2e-5

    @field_validator("loss", mode="before")
    @classmethod
    def _loss(cls, value: Any) -> dict[str, Any]:
        return decided({"name": "dpo", **value} if isinstance(value, dict) else value, LOSSES)


PREFER = Stage(
    kind="prefer",
    settings=PreferSettings,
    reads=(PAIRS, VALIDATION_PAIRS),
    changes="model",
    work="hone.train.prefer:prefer",
    check="hone.train.prefer_faults:find_faults",
    needs_bundle=True,
    writes=True,
    needs=TO_TRAIN,
    shared=True,
)

"""The table of objectives, their settings, and which kind of model each is for; no torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from hone.core.settings import Settings
from hone.core.tables import Table
from hone.models.architectures import Stack

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

OBJECTIVES = Table(
    "objective",
    {
        "mlm": "hone.tasks.objectives.settings:MLM",
        "clm": "hone.tasks.objectives.settings:CLM",
    },
    group="hone.objectives",
)


class DocumentSettings(Settings):
    """How documents become rows, beside how long a row may be."""


@dataclass(frozen=True)
class ObjectiveEntry:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        work: ``module:class`` of the objective, a `hone.tasks.objectives.objective.DocumentObjective`.
        stack: What kind of model learns by it.
        masks: Whether it hides tokens, so that the vocabulary has to have a token for them.
    """

    name: str
    settings: type[ObjectiveSettings]
    work: str
    stack: Stack
    masks: bool = False

    @property
    def kind(self) -> Any:
        """The objective's class."""
        module, _, name = self.work.partition(":")
        return getattr(importlib.import_module(module), name)


class ObjectiveSettings(Settings):
    """What every objective may be told.

    Attributes:
        weight: Of its mean loss beside those of the others.
    """

    weight: Positive = 1.0


class MlmSettings(ObjectiveSettings):
    """Settings of ``mlm``: masked language modeling (Devlin et al. 2019), other tokens hidden in every step (Liu et al.
    2019).

    Attributes:
        mlm_probability: Share of the tokens that are to be told.
        masking: What is hidden together: single ``tokens``; all pieces of a word (``words``), a Chinese character
            being a word unless the stage has a ``segmenter``; or ``spans`` of words (Joshi et al. 2020).
    """

    mlm_probability: Share = 0.15
    masking: Literal["tokens", "words", "spans"] = "tokens"


class ClmSettings(ObjectiveSettings):
    """Settings of ``clm``: each token is told from those before it (Radford et al. 2019)."""


MLM = ObjectiveEntry("mlm", MlmSettings, "hone.tasks.objectives.mlm:MaskedLanguage", "encoder", masks=True)
CLM = ObjectiveEntry("clm", ClmSettings, "hone.tasks.objectives.clm:CausalLanguage", "decoder")

"""Settings of ``compress`` and the table of its methods; no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hone.bundle.stage import Stage
from hone.core.errors import did_you_mean
from hone.core.settings import Settings, check_settings
from hone.core.tables import Table

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

METHODS = Table(
    "compression method",
    {
        "distill": "hone.compress.settings:DISTILL",
        "int8": "hone.compress.settings:INT8",
        "vocabulary": "hone.compress.settings:VOCABULARY",
    },
    group="hone.compressors",
)


@dataclass(frozen=True)
class Method:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        work: ``module:function`` that does it: ``(settings, hone.compress.start.Start) -> hone.compress.start.Made``.
    """

    name: str
    settings: type[Settings]
    work: str

    def run(self, settings: Settings, start: Any) -> Any:
        """Do it."""
        module, _, name = self.work.partition(":")
        work: Callable[[Settings, Any], Any] = getattr(importlib.import_module(module), name)
        return work(settings, start)


class VocabularySettings(Settings):
    """Settings of the method ``vocabulary``: only the tokens that the given texts use stay in the embedding table.

    Attributes:
        characters: Keep every single character that the texts hold, and those of ASCII, so that other words are still
            spelled out; without them a word of unseen pieces is unknown.
    """

    characters: bool = True


VOCABULARY = Method("vocabulary", VocabularySettings, "hone.compress.vocabulary:prune_vocabulary")


class Int8Settings(Settings):
    """Settings of the method ``int8``: weights of eight bits, activations brought to integers at each call."""


INT8 = Method("int8", Int8Settings, "hone.compress.int8:round_weights")


class DistillSettings(Settings):
    """Settings of the method ``distill``: a smaller student learns what the bundle says of every text.

    Attributes:
        layers: How many the student keeps, evenly spread; 0: token embeddings alone, each set to what the teacher says
            of that token on its own.
        width: Of the student's states, a multiple of the heads' size; None: the teacher's.
        inner: Units of each layer's inner part; None: as many as the teacher's.
        own: Weight of the task's own loss on labeled rows; the rest is the distance to the teacher.
        temperature: What both sides' scores are divided by; above 1 unlikely labels count for more.
        hidden: Weight of the distance between the token states of matched layers; 0: they do not count.
        attention: Weight of the divergence between what the last layer's tokens see of one another; 0: none.
        num_train_epochs, per_device_train_batch_size, learning_rate, head_learning_rate, save_steps: As in finetune.
    """

    layers: Annotated[int, Field(ge=0)] = 3
    width: Count | None = None
    inner: Count | None = None
    own: Annotated[float, Field(ge=0, le=1)] = 0.3
    temperature: Positive = 2.0
    hidden: Weight = 0.0
    attention: Weight = 0.0
    num_train_epochs: Positive = 6.0
    per_device_train_batch_size: Count = 32
    learning_rate: Positive = 3e-4
    head_learning_rate: Positive | None = None
    save_steps: Count | None = 500

    @model_validator(mode="after")
    def _layers_for_it(self) -> DistillSettings:
        needing = [name for name in ("width", "inner", "hidden", "attention") if getattr(self, name)]
        if not self.layers and needing:
            raise ValueError(f"{', '.join(needing)} left out, since a student with layers: 0 has none of it")
        return self


DISTILL = Method("distill", DistillSettings, "hone.compress.distill:distill")


class CompressSettings(Settings):
    """Settings of the stage ``compress``.

    Attributes:
        method: A name of `METHODS`, or ``{name: ..., ...}`` with its settings.
        on: The split that parent and result are compared on; one that changes the model may not be ``test``.
        max_drop: How much of the task's main measure on that split may be lost; more is refused. None: anything.
    """

    method: dict[str, Any]
    on: str = "validation"
    max_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @field_validator("method", mode="before")
    @classmethod
    def _chosen(cls, value: Any) -> dict[str, Any]:
        """The method's name and all its settings."""
        named = {"name": value} if isinstance(value, str) else value
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            raise ValueError("a method's name, or {name: ..., ...} with its settings")
        name = named["name"]
        if name not in METHODS:
            raise ValueError(f"a method of compress. {did_you_mean(name, METHODS)}")
        settings, faults = check_settings(METHODS[name].settings, {k: v for k, v in named.items() if k != "name"})
        if settings is None:
            raise ValueError("; ".join(str(fault) for fault in faults))
        return {"name": name, **settings.model_dump(mode="json")}

    @field_validator("on")
    @classmethod
    def _not_test(cls, value: str) -> str:
        if value == "test":
            raise ValueError("another split than 'test': what changes the model may not look at it")
        return value


COMPRESS = Stage(
    kind="compress",
    settings=CompressSettings,
    reads=("train", "validation", "unlabeled"),
    changes="model",
    work="hone.compress.compress:compress",
    needs_bundle=True,
)

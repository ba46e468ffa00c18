"""Settings of ``compress`` and the table of its methods; no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from hone.bundle.stage import Device, Inputs, Stage
from hone.core.choice import decided
from hone.core.errors import Fault
from hone.core.extras import TO_TRAIN, require
from hone.core.settings import Settings
from hone.core.tables import Table
from hone.data.fields import required
from hone.tasks.fields import shape_of
from hone.tasks.table import TASKS

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

METHODS = Table(
    "compression method",
    {
        "distill": "hone.compress.settings:DISTILL",
        "int8": "hone.compress.settings:INT8",
        "low-rank": "hone.compress.recovery:LOW_RANK",
        "onnx": "hone.compress.settings:ONNX",
        "prune": "hone.compress.recovery:PRUNE",
        "search": "hone.compress.choices:SEARCH",
        "sparse": "hone.compress.recovery:SPARSE",
        "vocabulary": "hone.compress.settings:VOCABULARY",
        "weight-only": "hone.compress.settings:WEIGHT_ONLY",
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
        needs: Packages that it imports and that hone does not bring by itself.
        extra: The extra that brings them; the one of its own name where nothing is said.
        teaches: Whether what it makes learns from the bundle's answers alone, so that an ensemble may be its parent.
        any_head: Whether it does for heads whose scores are the base's vocabulary, too.
        writers: Whether it does for models that write.
        cpu_only: Whether what it makes runs on a CPU alone.
    """

    name: str
    settings: type[Settings]
    work: str
    needs: tuple[str, ...] = ()
    extra: str = ""
    teaches: bool = False
    any_head: bool = False
    writers: bool = False
    cpu_only: bool = False

    def require(self) -> None:
        """Raise `MissingExtra` for the first of those packages that is not installed."""
        for package in self.needs:
            require(package, extra=self.extra or self.name, needed_for=f"compress by {self.name}")

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


VOCABULARY = Method("vocabulary", VocabularySettings, "hone.compress.vocabulary:prune_vocabulary", writers=True)


class Int8Settings(Settings):
    """Settings of the method ``int8``: weights of eight bits, products in integers.

    Attributes:
        activations: What goes into a product is brought to integers by the range that calibration rows had there
            (``static``: a text's answer does not depend on the texts beside it), or by its own range at each call
            (``dynamic``).
        calibration_rows: Most rows of the given texts that ``static`` reads.
    """

    activations: Literal["dynamic", "static"] = "static"
    calibration_rows: Count = 256


INT8 = Method("int8", Int8Settings, "hone.compress.int8:round_weights", any_head=True, writers=True, cpu_only=True)


class WeightOnlySettings(Settings):
    """Settings of the method ``weight-only``: weights of few bits, brought back to float32 for each product.

    Attributes:
        bits: Of a linear layer's weight; embedding tables have eight.
        group: Inputs that share a scale; a layer whose inputs it does not divide has one scale a row.
    """

    bits: Literal[8, 4] = 8
    group: Annotated[int, Field(ge=2)] = 32


WEIGHT_ONLY = Method(
    "weight-only",
    WeightOnlySettings,
    "hone.compress.int8:round_weights_alone",
    any_head=True,
    writers=True,
    cpu_only=True,
)


class OnnxSettings(Settings):
    """Settings of the method ``onnx``: the model as one graph for ONNX Runtime.

    Attributes:
        precision: ``int8`` keeps the backbone's weights in eight bits and multiplies in integers.
        activations: What ``int8`` does with what goes into a product: brought to integers by its own range at each call
            (``dynamic``), or by the range that calibration rows had there (``static``).
        calibration_rows: Most rows of the given texts that ``static`` reads.
    """

    precision: Literal["float32", "int8"] = "float32"
    activations: Literal["dynamic", "static"] = "dynamic"
    calibration_rows: Count = 256

    @model_validator(mode="after")
    def _integers(self) -> OnnxSettings:
        if self.activations == "static" and self.precision != "int8":
            raise ValueError("activations: static together with precision: int8, whose activations it speaks of")
        return self


ONNX = Method(
    "onnx", OnnxSettings, "hone.compress.onnx:to_onnx", needs=("onnx", "onnxscript", "onnxruntime"), cpu_only=True
)


class DistillSettings(Settings):
    """Settings of the method ``distill``: a smaller student learns what the bundle says of every text.

    Attributes:
        layers: How many the student keeps, evenly spread; 0: token embeddings alone, each set to what the teacher says
            of that token on its own.
        encoder_layers: Of a model that reads a source and writes: how many its encoder keeps; None: ``layers``, as its
            decoder.
        texts: Of a task that writes what is learned: the ``given`` texts, or those that the bundle has ``written`` for
            every source (Kim and Rush 2016), by the task's own decoding; those of ``unlabeled`` then, too.
        width: Of the student's states, a multiple of the heads' size; None: the teacher's.
        inner: Units of each layer's inner part; None: as many as the teacher's.
        own: Weight of the task's own loss on labeled rows; the rest is the distance to the teacher.
        temperature: What both sides' scores are divided by; above 1 unlikely labels count for more.
        hidden: Weight of the distance between the token states of matched layers; 0: they do not count.
        attention: Weight of the divergence between what the last layer's tokens see of one another; 0: none.
        num_train_epochs, per_device_train_batch_size, learning_rate, head_learning_rate, save_steps: As in finetune.
    """

    layers: Annotated[int, Field(ge=0)] = 3
    encoder_layers: Count | None = None
    texts: Literal["given", "written"] = "given"
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


DISTILL = Method(
    "distill",
    DistillSettings,
    "hone.compress.distill:distill",
    needs=TO_TRAIN,
    extra="train",
    teaches=True,
    writers=True,
)


class CompressSettings(Settings):
    """Settings of the stage ``compress``.

    Attributes:
        method: A name of `METHODS`, or ``{name: ..., ...}`` with its settings.
        on: The split that parent and result are compared on; one that changes the model may not be ``test``.
        max_drop: How much of the task's main measure on that split may be lost; more is refused. None: anything.
        min_agreement: The share of that split's answers that are the parent's, at least; fewer are refused. None: any,
            and `EXACT` of a method that changes no answer.
    """

    method: dict[str, Any]
    on: str = "validation"
    max_drop: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    min_agreement: Annotated[float, Field(ge=0, le=1)] | None = None

    @field_validator("method", mode="before")
    @classmethod
    def _chosen(cls, value: Any) -> dict[str, Any]:
        """The method's name and all its settings."""
        return decided(value, METHODS)

    @field_validator("on")
    @classmethod
    def _not_test(cls, value: str) -> str:
        if value == "test":
            raise ValueError("another split than 'test': what changes the model may not look at it")
        return value


def find_faults(settings: CompressSettings, inputs: Inputs) -> list[Fault]:
    """Methods that do not do for the task's head, or whose results do not run on the recipe's device, and rows to
    compare on that have nothing to measure answers by. What a method needs and is not installed is told here as well,
    before anything of the recipe runs.

    Raises:
        MissingExtra: Something is not.
    """
    names = _named(settings.method)
    for name in names:
        METHODS[name].require()
    return [*_unsuited(names, inputs), *_elsewhere(names, inputs.device), *_unmeasured(settings.on, inputs)]


def measured_on(method: Mapping[str, Any], device: Device) -> Device:
    """Where parent and result, and all that a search tries, answer and are timed beside each other: on ``device``, or
    on the CPU where a method of the decided choice makes what runs there alone."""
    return "cpu" if any(METHODS[name].cpu_only for name in _named(method)) else device


def _elsewhere(names: Sequence[str], device: Device) -> list[Fault]:
    """Faults where a device is asked for on which the results of a method do not run."""
    if device in ("auto", "cpu"):
        return []
    fix = "With device: auto trainings take the GPU, and what this makes is measured on the CPU."
    return [
        Fault("compress.device", f"{name}, whose results run on a CPU alone, and device: {device}",
              "device: auto or cpu", field="method", fix=fix)
        for name in dict.fromkeys(names)
        if METHODS[name].cpu_only
    ]  # fmt: skip


def _unmeasured(on: str, inputs: Inputs) -> list[Fault]:
    """A fault where the rows to compare on lack what the task's measures read."""
    if on not in inputs.data:
        return []
    columns, task = inputs.data[on].columns, TASKS[inputs.task.name]
    lacking = [name for name in required(shape_of(task, columns, inputs.task.settings).targets) if name not in columns]
    if not lacking:
        return []
    found = f"{on}, whose rows have no {' and no '.join(lacking)}"
    return [Fault("compress.unlabeled", found, "rows that answers can be measured on", field="on",
                  fix="Name train or validation.")]  # fmt: skip


def _unsuited(names: Sequence[str], inputs: Inputs) -> list[Fault]:
    says = TASKS[inputs.task.name].says
    if says == "text":
        do = ", ".join(name for name in METHODS if METHODS[name].writers)
        return [
            Fault("compress.writes", f"{name}, and {inputs.task.name} writes", do, field="method")
            for name in names
            if name != "search" and not METHODS[name].writers
        ]
    if says != "tokens":
        return []
    do = ", ".join(name for name in METHODS if METHODS[name].any_head)
    fix = "Or fine-tune another task on this bundle (base: FOLDER) and compress what comes of it."
    return [
        Fault("compress.masked-tokens", f"{name}, and {inputs.task.name} scores the base's whole vocabulary", do,
              field="method", fix=fix)
        for name in names
        if name != "search" and not METHODS[name].any_head
    ]  # fmt: skip


def _named(method: Mapping[str, Any]) -> list[str]:
    """The methods that a decided choice names: itself, and those that a search tries."""
    return [method["name"], *(each["name"] for step in method.get("steps", ()) for each in step)]


COMPRESS = Stage(
    kind="compress",
    settings=CompressSettings,
    reads=("train", "validation", "unlabeled"),
    changes="model",
    work="hone.compress.compress:compress",
    check="hone.compress.settings:find_faults",
    needs_bundle=True,
)

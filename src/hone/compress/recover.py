"""What a method takes away, the rest makes up for: it learns what the bundle said before, and the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from hone.compress.likeness import Likeness
from hone.compress.recovery import RecoverySettings
from hone.compress.settings import DistillSettings
from hone.compress.start import Start
from hone.compress.taught import Taught
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.data.dataset import Dataset
from hone.data.fields import Kind
from hone.models.encoder import FAMILIES, Encoder
from hone.models.model import Model
from hone.predict.batching import score_rows
from hone.predict.device import pick_device
from hone.predict.engine import TorchEngine
from hone.tasks.encoded import encoded, encoding_key
from hone.tasks.fields import shape_of
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.rows import IntArray, Rows
from hone.train.finetune import run_loop
from hone.train.loop import Setup, Trained
from hone.train.settings import FinetuneSettings


@dataclass(frozen=True)
class Lesson:
    """What there is to learn.

    Attributes:
        rows: Encoded rows of ``train`` and ``unlabeled``.
        labeled: bool [rows].
        keys: Of the encodings.
        scores: What the bundle says of every row; see `Taught`.
    """

    rows: Rows
    labeled: NDArray[np.bool_]
    keys: list[str]
    scores: list[NDArray[np.float32]]


def lesson(start: Start) -> Lesson:
    """Ask the bundle what it says of every row; before anything of its model is changed.

    Raises:
        RecipeError: There is nothing to ask about, or its answers cannot be learned from.
    """
    if start.task.says in ("spans", "choice", "tokens", "text"):
        raise RecipeError(
            f"training on the scores of {start.task.name}",
            expected="a task whose scores stand for the same labels, or places, in every row",
            fix="Take a method that trains nothing: vocabulary, int8, onnx, or one with num_train_epochs: 0.",
            code="compress.scores",
        )
    rows, labeled, keys = rows_taught(start)
    start.run.progress.begin("asking the teacher", total=len(rows), unit="row")
    engine = start.teacher or TorchEngine(start.model, pick_device(start.run.device))
    scores = score_rows(start.task, engine, rows, done=start.run.progress.advance)
    start.run.progress.finish()
    return Lesson(rows, labeled, keys, scores)


def recover(
    model: Model,
    taught: Lesson,
    start: Start,
    *,
    settings: RecoverySettings | DistillSettings,
    method: str,
    likeness: Likeness | None = None,
) -> Trained:
    """Train ``model`` in place, interrupted and resumed as `finetune` is; afterwards it lies on the CPU.

    Args:
        likeness: Distances of inner states that are learned beside the scores.
    """
    task = Taught(
        start.task,
        taught.scores,
        labeled=taught.labeled,
        temperature=settings.temperature,
        own=settings.own,
        likeness=likeness,
    )
    return learn(model, cast(Task, task), taught.rows, start, keys=taught.keys, settings=settings, method=method)


def learn(
    model: Model,
    task: Task,
    rows: Rows,
    start: Start,
    *,
    keys: Sequence[str],
    settings: RecoverySettings | DistillSettings,
    method: str,
) -> Trained:
    """Train ``model`` in place by the loss of ``task``, interrupted and resumed as `finetune` is; see `recover`.

    Args:
        keys: Of the encodings of ``rows``.
    """
    run, device = start.run, pick_device(start.run.device)
    setup = Setup(
        settings=training(settings),
        seed=run.seed,
        identity=digest_value(
            {"stage": method, "settings": settings.model_dump(mode="json"), "seed": run.seed,
             "teacher": start.bundle.digest, "rows": list(keys), "device": device.type}
        ),
        checkpoints=run.folder / "checkpoints",
        options=LossOptions(),
        validate=None,
        watched=task.main_measure,
        higher_is_better=True,
    )  # fmt: skip
    trained = run_loop(model, task, rows, setup=setup, run=run, device=device)
    model.to("cpu").eval()
    return trained


def training(settings: RecoverySettings | DistillSettings) -> FinetuneSettings:
    """The loop's settings: no validation, the last weights."""
    return FinetuneSettings(
        num_train_epochs=settings.num_train_epochs,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        learning_rate=settings.learning_rate,
        head_learning_rate=settings.head_learning_rate,
        eval_strategy="no",
        keep="last",
        save_steps=settings.save_steps,
    )


def rows_taught(start: Start) -> tuple[Rows, NDArray[np.bool_], list[str]]:
    """Encoded rows of ``train`` and ``unlabeled``, which of them have labels, and the keys of both.

    Raises:
        RecipeError: There is neither.
    """
    task, cache = start.task, start.run.cache
    sets = [start.data["train"]] if "train" in start.data else []
    if "unlabeled" in start.data:
        sets.append(_with_any_target(start.data["unlabeled"], task))
    if not sets:
        raise RecipeError(
            "compress was given no texts to learn from",
            fix="Name train or unlabeled under data.",
            code="recipe.no-split",
        )
    parts = [encoded(task, data, cache=cache) for data in sets]
    known = [np.full(len(part), data.name != "unlabeled") for part, data in zip(parts, sets, strict=True)]
    rows = Rows(pa.concat_tables([part.table for part in parts]))
    return rows, np.concatenate(known), [encoding_key(task, data) for data in sets]


def _with_any_target(data: Dataset, task: Task) -> Dataset:
    """``data`` with a target in every row, for the encoding asks for one; the loss never looks at it."""
    columns = dict(data.slice(0, len(data)))
    any_one: dict[Kind, Callable[[Any], Any]] = {
        "label": lambda _: (*task.labels, "")[0],
        "labels": lambda _: [],
        "score": lambda _: 0.0,
        "answers": lambda _: [],
        "entities": lambda _: [],
        "choice": lambda _: 0,
        "tags": lambda words: ["O"] * len(words),
    }
    shape = shape_of(task, data.columns)
    inputs = columns[shape.inputs[0].name]
    for target in shape.targets:
        if target.required:
            columns[target.name] = [any_one[target.kind](value) for value in inputs]
    return Dataset.from_columns("unlabeled", columns)


def drawn(among: IntArray, count: int, *, seed: int) -> IntArray:
    """At most ``count`` of the row indices ``among``, at random, ascending."""
    picked: IntArray = np.random.default_rng(seed).permutation(among)[:count]
    return np.sort(picked)


def encoder_of(start: Start, method: str) -> Encoder:
    """The encoder of hone's own of the bundle's model.

    Raises:
        RecipeError: It has none.
    """
    encoder = start.model.encoder
    if encoder is None:
        config: Any = start.model.backbone.config
        kind = getattr(config, "architecture", None) or config.model_type  # of hone's own nets the name in the table
        raise RecipeError(
            f"{method} of a base of type {kind!r}",
            expected=f"one of {', '.join(sorted(FAMILIES))}, with GELU",
            code=f"compress.{method}",
        )
    return encoder


def parameters(model: Any) -> int:
    """How many weights ``model`` has."""
    return sum(weight.numel() for weight in model.parameters())


def linear_layers(encoder: Encoder) -> Sequence[tuple[torch.nn.Module, str, torch.nn.Linear]]:
    """Every linear layer of ``encoder``: the module that holds it, its name there, and the layer."""
    return [
        (module, name, child)
        for module in encoder.layer.modules()
        for name, child in module.named_children()
        if type(child) is torch.nn.Linear
    ]

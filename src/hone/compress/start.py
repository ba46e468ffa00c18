"""What a compression method is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Run
from hone.data.dataset import Dataset
from hone.models.model import Model
from hone.models.onnx import OnnxModel
from hone.predict.engine import Engine
from hone.report.report import Grid
from hone.tasks.protocol import Task


@dataclass(frozen=True)
class Start:
    """A bundle, opened for change.

    Attributes:
        model: A copy of its own; a method may change it.
        data: What the stage may read: ``train``, ``validation``, ``unlabeled`` where the recipe names them.
        on: Which of them the result will be compared on with its parent.
        measured_on: The device that both will run on then; a method trains on that of ``run``.
        teacher: What answers for the bundle where that is more than ``model``: of an ensemble, which is its first
            member. None: the model does.
    """

    bundle: Bundle
    model: Model
    task: Task
    data: Mapping[str, Dataset]
    run: Run
    on: str = "validation"
    measured_on: str = "auto"
    teacher: Engine | None = None


@dataclass(frozen=True)
class Made:
    """What a method gives back.

    Attributes:
        model, task: The compressed model, and its task with its tokenizer.
        facts, tables: For the report.
        chosen: Methods with their settings that the result was made by, where the method had the choice.
        decides: Whether what ``task`` decides by holds for the scores of ``model``: these are the bundle's own on the
            texts that were given, or it was fitted by them.
        exact: Whether its answers to the texts that were given are the bundle's own, but for rounding.
    """

    model: Model | OnnxModel
    task: Task
    facts: Mapping[str, int | float | str]
    tables: Mapping[str, Grid] = field(default_factory=dict)
    chosen: tuple[Mapping[str, Any], ...] = ()
    decides: bool = False
    exact: bool = False

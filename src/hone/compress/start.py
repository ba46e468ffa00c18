"""What a compression method is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Run
from hone.data.dataset import Dataset
from hone.models.model import Model
from hone.models.onnx import OnnxModel
from hone.report.report import Grid
from hone.tasks.protocol import Task


@dataclass(frozen=True)
class Start:
    """A bundle, opened for change.

    Attributes:
        model: A copy of its own; a method may change it.
        data: What the stage may read: ``train``, ``validation``, ``unlabeled`` where the recipe names them.
    """

    bundle: Bundle
    model: Model
    task: Task
    data: Mapping[str, Dataset]
    run: Run


@dataclass(frozen=True)
class Made:
    """The compressed model and its task (with its tokenizer), and facts and tables for the report."""

    model: Model | OnnxModel
    task: Task
    facts: Mapping[str, int | float | str]
    tables: Mapping[str, Grid] = field(default_factory=dict)

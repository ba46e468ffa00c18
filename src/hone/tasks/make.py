"""Make a task for a model folder: tokenizer and limits come from there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from hone.core.settings import Settings
from hone.models.model import read_limit
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.tasks.protocol import Task
from hone.tasks.table import TASKS


def make_task(
    name: str, settings: Settings, *, labels: tuple[str, ...], folder: Path, tokenizer: Tokenizer | None = None
) -> Task:
    """The task ``name`` over ``labels``, for the base or bundle in ``folder``; ``tokenizer``: its own, open already."""
    tokenizer = tokenizer or load_tokenizer(folder)
    return cast(Task, TASKS[name](settings, labels=labels, tokenizer=tokenizer, model_limit=read_limit(folder)))

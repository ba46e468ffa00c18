"""What a compressed bundle decides by: it has to hold for its own scores, not for those of the bundle it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hone.compress.start import Made
from hone.data.dataset import Dataset
from hone.predict.decide import with_decision
from hone.predict.engine import Engine
from hone.report.catalog import Language, word
from hone.tasks.protocol import Deciding, Task


def with_own_decision(made: Made, engine: Engine, data: Mapping[str, Dataset], *, cache: Path) -> Made:
    """``made`` with the decision that is best for what ``engine``, its model, scores on ``validation``. Without that
    split it has none, unless the one that it has holds still."""
    task = made.task
    if not isinstance(task, Deciding) or not task.decides:
        return made
    if "validation" in data:
        task = with_decision(task.decided(None), engine, data["validation"], cache=cache)
    elif not made.decides:
        task = task.decided(None)
    return replace(made, task=task)


def undecided(before: Task, after: Task, language: Language) -> list[str]:
    """A warning where ``after`` decides by nothing and ``before`` did."""
    had, has = (isinstance(task, Deciding) and task.decision is not None for task in (before, after))
    return [word("warn.undecided", language)] if had and not has else []

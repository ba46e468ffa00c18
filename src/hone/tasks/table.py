"""The tasks, by the ecosystem's own names."""

from __future__ import annotations

from hone.core.tables import Table

TASKS = Table(
    "task",
    {
        "text-classification": "hone.tasks.classification:TextClassification",
        "token-classification": "hone.tasks.tagging:TokenClassification",
    },
    group="hone.tasks",
)

SETTINGS = Table(
    "task",
    {
        "text-classification": "hone.tasks.settings:TextClassificationSettings",
        "token-classification": "hone.tasks.settings:TokenClassificationSettings",
    },
    group="hone.tasks.settings",
)

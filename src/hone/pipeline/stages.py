"""The stages a recipe may name."""

from __future__ import annotations

from hone.core.tables import Table

STAGES = Table(
    "stage",
    {
        "inspect": "hone.inspect.settings:INSPECT",
        "compare": "hone.evaluate.comparing:COMPARE",
        "compress": "hone.compress.settings:COMPRESS",
        "ensemble": "hone.compress.ensemble_settings:ENSEMBLE",
        "finetune": "hone.train.settings:FINETUNE",
        "merge": "hone.compress.merging:MERGE",
        "prefer": "hone.train.prefer_settings:PREFER",
        "pretrain": "hone.train.pretrain_settings:PRETRAIN",
        "reinforce": "hone.train.reinforce_settings:REINFORCE",
        "evaluate": "hone.evaluate.settings:EVALUATE",
    },
)

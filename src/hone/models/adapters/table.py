"""The table of tuning methods; no torch until one is named."""

from __future__ import annotations

from hone.core.tables import Table

METHODS = Table(
    "tuning method",
    {
        "bitfit": "hone.models.adapters.partial:BITFIT",
        "full": "hone.models.adapters.partial:FULL",
        "head": "hone.models.adapters.partial:HEAD",
        "lora": "hone.models.adapters.lora:LORA",
        "top-n": "hone.models.adapters.partial:TOP_N",
    },
    group="hone.adapters",
)

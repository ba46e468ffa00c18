"""The table of tuning methods; no torch until one is named."""

from __future__ import annotations

from hone.core.tables import Table

METHODS = Table(
    "tuning method",
    {
        "adalora": "hone.models.adapters.adalora:ADALORA",
        "bitfit": "hone.models.adapters.partial:BITFIT",
        "full": "hone.models.adapters.partial:FULL",
        "head": "hone.models.adapters.partial:HEAD",
        "houlsby": "hone.models.adapters.bottleneck:HOULSBY",
        "ia3": "hone.models.adapters.ia3:IA3",
        "lora": "hone.models.adapters.lora:LORA",
        "p-tuning": "hone.models.adapters.prompts:P_TUNING",
        "p-tuning-v2": "hone.models.adapters.prompts:P_TUNING_V2",
        "pfeiffer": "hone.models.adapters.bottleneck:PFEIFFER",
        "prefix": "hone.models.adapters.prompts:PREFIX",
        "prompt": "hone.models.adapters.prompts:PROMPT",
        "top-n": "hone.models.adapters.partial:TOP_N",
    },
    group="hone.adapters",
)

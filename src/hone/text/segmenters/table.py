"""The table of segmenters, by the names that recipes use."""

from __future__ import annotations

from hone.core.tables import Table

SEGMENTERS = Table(
    "segmenter",
    {
        "jieba": "hone.text.segmenters.dictionary:JIEBA",
        "learned": "hone.text.segmenters.learned:LEARNED",
    },
    group="hone.segmenters",
)

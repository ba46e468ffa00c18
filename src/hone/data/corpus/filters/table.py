"""The table of filters, by the names that recipes use."""

from __future__ import annotations

from hone.core.tables import Table

FILTERS = Table(
    "filter",
    {
        "boilerplate": "hone.data.corpus.filters.lines:BOILERPLATE",
        "characters": "hone.data.corpus.filters.characters:CHARACTERS",
        "language": "hone.data.corpus.filters.language:LANGUAGE",
        "letters": "hone.data.corpus.filters.characters:LETTERS",
        "repeated-lines": "hone.data.corpus.filters.lines:REPEATED_LINES",
        "repeated-ngrams": "hone.data.corpus.filters.words:REPEATED_NGRAMS",
        "replacement": "hone.data.corpus.filters.characters:REPLACEMENT",
        "symbols": "hone.data.corpus.filters.words:SYMBOLS",
        "word-length": "hone.data.corpus.filters.words:WORD_LENGTH",
    },
    group="hone.filters",
)

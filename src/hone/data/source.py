"""`Source`: where a recipe's data lies: a file, a glob, or ``hub:NAME``; and what its columns are called there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hone.core.settings import Settings

Format = Literal["auto", "jsonl", "csv", "tsv", "parquet", "conll", "text"]
HUB = "hub:"  # begins the name of a data set on the hub, where a path would stand
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".conll": "conll", ".bio": "conll", ".iob": "conll", ".iob2": "conll", ".txt": "text",
}  # fmt: skip


class Source(Settings):
    """A data source of a recipe.

    Attributes:
        path: A file, a glob such as ``shards/*.jsonl``, or ``hub:NAME`` (``hub:NAME:SPLIT``; the split named like the
            source when left out). Relative to the recipe's folder.
        columns: Field name -> the column's name in the file, where they differ.
        format: The file's format; ``auto`` goes by its suffix.
    """

    path: str
    columns: dict[str, str] = Field(default_factory=dict)
    format: Format = "auto"
